"""The page about Kubernetes' RBAC and ABAC cases is the table of those that are run."""
from support import rbac_parity


def test_every_case_of_upstream_is_here():
    for title, (here, there) in rbac_parity.counts().items():
        assert here == there, title
    assert sum(there for _, there in rbac_parity.counts().values()) == len(rbac_parity.cases())


def test_the_page_says_what_is_run():
    with open(rbac_parity.PAGE, encoding="utf-8") as f:
        assert f.read() == rbac_parity.page(), "run: python3 tests/support/rbac_parity.py > docs/rbac-parity.md"
