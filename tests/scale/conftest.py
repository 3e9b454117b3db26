"""The little films and the empty index of the tests of indexing."""

from tests.index.conftest import films as films
from tests.index.conftest import store as store
from tests.index.conftest import videos as videos
