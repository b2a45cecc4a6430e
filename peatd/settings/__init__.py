"""What can be set, how it is read and how it is shown. Sans-IO: `peatd/config.py` brings the outside in."""
