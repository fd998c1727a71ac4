"""The policy in which little decides: what the tests of several tools load."""
HEAD = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: x, generation: 3}\n"
RULES = """\
defaults: {exempt: {users: [root]}}
rules:
- {id: read, effect: allow, subjects: {groups: [dev]}, apiGroups: [""], resources: [pods], verbs: [get, list]}
- {id: no, effect: deny, subjects: {all: everyone}, namespaces: [prod], resources: [pods], verbs: [list]}
"""
