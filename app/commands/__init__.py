"""The commands, one file per noun; heavy imports only inside commands."""
