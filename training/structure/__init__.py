"""Learning to see structure: the decoder, its codes and the matcher that judges with them."""
