"""Directories of Active Directory's kind, against a real Samba domain controller."""
from support import samba
from support.samba import person_dn


def test_the_domain_answers_as_active_directory_does(ad):
    assert ad.bind(person_dn("portcullis"), samba.SERVICE_PASSWORD) == (0, "")
    code, words = ad.bind(person_dn("portcullis"), "wrong")
    assert code == 49 and "data 52e" in words
