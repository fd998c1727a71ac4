"""Applies LDIF on standard input to a Samba database file, in one transaction. Usage: samba_load.py SMB.CONF SAM.LDB"""
import sys

import ldb
from samba import dsdb
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB


def main():
    lp = LoadParm()
    lp.load(sys.argv[1])
    db = SamDB(url=sys.argv[2], session_info=system_session(), lp=lp)
    db.transaction_start()
    for kind, message in db.parse_ldif(sys.stdin.read()):
        if kind in (ldb.CHANGETYPE_ADD, ldb.CHANGETYPE_NONE):
            db.add(message)
        elif kind == ldb.CHANGETYPE_MODIFY:
            # pwdLastSet is the server's own affair otherwise.
            plain = "pwdLastSet" not in message
            db.modify(message, [] if plain else [f"local_oid:{dsdb.DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID}:0"])
        else:
            sys.exit(f"unknown change of {message.dn}")
    db.transaction_commit()


if __name__ == "__main__":
    main()
