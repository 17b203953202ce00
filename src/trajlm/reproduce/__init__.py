"""The demo, the systems of the 2020 paper, and measuring speed."""
