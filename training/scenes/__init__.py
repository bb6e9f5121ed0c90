"""Real, captioned pictures beside drawn tiles: how the shipped aerial tower and its words are learned."""
