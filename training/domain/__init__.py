"""Text and imagery across domains (UrbanCross): contrast with segments on one country, adaptation to another."""
