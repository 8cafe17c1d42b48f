"""The checker of shapes and types that tests put over the packages: beartype, with an int where a float is asked for."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
