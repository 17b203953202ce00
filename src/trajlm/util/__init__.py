"""What every room needs: files, processes, progress, words."""
