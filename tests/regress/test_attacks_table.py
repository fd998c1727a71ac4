"""Every row of the table of attacks is proven, by tests that are there, and docs/ says the same."""
from support import attacks


def test_every_row_has_a_test():
    proofs = attacks.proofs()
    assert not [row for row in attacks.rows() if not proofs[row]]
    assert not [row for row in proofs if row not in attacks.rows()]


def test_every_proof_is_there():
    missing = [f"{row}: {test}" for row, tests in attacks.proofs().items() for test in tests
               if not attacks.exists(test)]
    assert not missing


def test_rows_are_complete():
    assert list(attacks.rows()) == [str(n) + b for n in range(1, 101) for b in (("", "b") if n == 87 else ("",))]
    for row, r in attacks.rows().items():
        assert set(r) >= {"area", "input", "must", "answer"}, row
        assert set(r) <= {"area", "input", "must", "answer", "reasons", "also"}, row


def test_the_page_is_made_from_the_table():
    with open(attacks.PAGE, encoding="utf-8") as f:
        assert f.read() == attacks.page(), "run: python3 tests/support/attacks.py > docs/attack-table.md"
