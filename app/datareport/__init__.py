"""What a data set is made of, as one page: tags, captions, ground."""
