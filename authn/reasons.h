/* Every word that an authentication, a login or a session may give as its reason: in the audit log,
 * in metrics and in the manual, whose tables hold exactly these (a test compares them). */
#ifndef AUTHN_REASONS_H
#define AUTHN_REASONS_H

#include <stddef.h>

/* Sorted bytewise. `other` is what anything else is counted as: our own mistake. */
#define AUTHN_REASONS(X)                                                                           \
	X(accessRules)                                                                             \
	X(accountChanged)                                                                          \
	X(accountDisabled)                                                                         \
	X(accountExpired)                                                                          \
	X(accountLocked)                                                                           \
	X(ambiguous)                                                                               \
	X(ambiguousName)                                                                           \
	X(badAudience)                                                                             \
	X(badClaim)                                                                                \
	X(badCredential)                                                                           \
	X(badEntry)                                                                                \
	X(badExtra)                                                                                \
	X(badGroup)                                                                                \
	X(badGroups)                                                                               \
	X(badHeader)                                                                               \
	X(badName)                                                                                 \
	X(badParty)                                                                                \
	X(badPassword)                                                                             \
	X(badRequest)                                                                              \
	X(badScope)                                                                                \
	X(badSignature)                                                                            \
	X(badToken)                                                                                \
	X(badUid)                                                                                  \
	X(badUsername)                                                                             \
	X(boundToken)                                                                              \
	X(claimsUnavailable)                                                                       \
	X(delegated)                                                                               \
	X(directoryDown)                                                                           \
	X(directoryTimeout)                                                                        \
	X(distributedClaims)                                                                       \
	X(emailNotVerified)                                                                        \
	X(empty)                                                                                   \
	X(emptyPassword)                                                                           \
	X(expired)                                                                                 \
	X(forbidden)                                                                               \
	X(foreignAudience)                                                                         \
	X(foreignDomain)                                                                           \
	X(foreignProject)                                                                          \
	X(hostedDomain)                                                                            \
	X(internal)                                                                                \
	X(issuerUnavailable)                                                                       \
	X(keystoneUnavailable)                                                                     \
	X(limited)                                                                                 \
	X(logonHours)                                                                              \
	X(mustChangePassword)                                                                      \
	X(noLogin)                                                                                 \
	X(noMatch)                                                                                 \
	X(noRefresh)                                                                               \
	X(noUser)                                                                                  \
	X(notRecorded)                                                                             \
	X(notYetValid)                                                                             \
	X(ok)                                                                                      \
	X(other)                                                                                   \
	X(overloaded)                                                                              \
	X(passwordChanged)                                                                         \
	X(passwordExpired)                                                                         \
	X(repeated)                                                                                \
	X(requiredClaim)                                                                           \
	X(requiredRole)                                                                            \
	X(reservedName)                                                                            \
	X(revoked)                                                                                 \
	X(timeout)                                                                                 \
	X(tokenKind)                                                                               \
	X(tooLong)                                                                                 \
	X(tooManyGroups)                                                                           \
	X(unknownDirectory)                                                                        \
	X(unknownKey)                                                                              \
	X(workstation)

enum authn_reason {
#define X(word) AUTHN_REASON_##word,
	AUTHN_REASONS(X)
#undef X
	    AUTHN_REASON_COUNT
};

/* The word of index I. */
const char *authn_reason_word(size_t i);

/* The index of REASON; AUTHN_REASON_other for NULL and for what is not in the table. */
size_t authn_reason_index(const char *reason);

#endif
