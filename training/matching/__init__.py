"""Stage two of U-CSA: learns whether an aerial and a map vector are of the same ground."""
