"""The systems of Tsai, Kuo, Tiwary, Nat. Commun. 11:5115 (2020), each from nothing to numbers."""
