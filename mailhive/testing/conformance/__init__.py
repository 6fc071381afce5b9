"""What every provider of a role has to do, as pytest classes to inherit from.

A test class of a provider inherits from the suite of its role and brings the
fixtures that the suite names.  Needs pytest and pytest-twisted.
"""

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))
