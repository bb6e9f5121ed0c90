"""Captions of pictures: by templates from geo-tags, or by a model that is told them; judged, the best kept."""
