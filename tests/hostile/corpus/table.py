"""All cases."""

from tests.hostile.corpus import bodies, forms, headers, http, images, large, options, regions
from tests.hostile.corpus.base import Case

KINDS = (images, bodies, forms, options, regions, headers, http, large)
CASES: list[Case] = [case for module in KINDS for case in module.CASES]
