/* Owns the table of Kubernetes' resources, and our own, that have no namespace. */
#include "policy/scope.h"

/* Resources of Kubernetes that have no namespace (API group, resource). An entry here spares
 * requests for them from denies that name namespaces; a resource that is not here is taken to have
 * one. */
const struct scope_entry scope_builtin[] = {
    {"", "componentstatuses"},
    {"", "groups"}, /* with users, userextras and uids: what impersonation asks about */
    {"", "namespaces"},
    {"", "nodes"},
    {"", "persistentvolumes"},
    {"", "users"},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicies"},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicybindings"},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations"},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies"},
    {"admissionregistration.k8s.io", "validatingadmissionpolicybindings"},
    {"admissionregistration.k8s.io", "validatingwebhookconfigurations"},
    {"apiextensions.k8s.io", "customresourcedefinitions"},
    {"apiregistration.k8s.io", "apiservices"},
    {"authentication.k8s.io", "selfsubjectreviews"},
    {"authentication.k8s.io", "tokenreviews"},
    {"authentication.k8s.io", "uids"},
    {"authentication.k8s.io", "userextras"},
    {"authorization.k8s.io", "selfsubjectaccessreviews"},
    {"authorization.k8s.io", "selfsubjectrulesreviews"},
    {"authorization.k8s.io", "subjectaccessreviews"},
    {"certificates.k8s.io", "certificatesigningrequests"},
    {"certificates.k8s.io", "clustertrustbundles"},
    {"certificates.k8s.io", "signers"},
    {"flowcontrol.apiserver.k8s.io", "flowschemas"},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"},
    {"internal.apiserver.k8s.io", "storageversions"},
    {"metrics.k8s.io", "nodes"},
    {"networking.k8s.io", "ingressclasses"},
    {"networking.k8s.io", "ipaddresses"},
    {"networking.k8s.io", "servicecidrs"},
    {"node.k8s.io", "runtimeclasses"},
    {"policy", "podsecuritypolicies"},
    {"portcullis.dev", "userrecords"}, /* our own */
    {"rbac.authorization.k8s.io", "clusterrolebindings"},
    {"rbac.authorization.k8s.io", "clusterroles"},
    {"resource.k8s.io", "deviceclasses"},
    {"resource.k8s.io", "devicetaintrules"},
    {"resource.k8s.io", "resourceslices"},
    {"scheduling.k8s.io", "priorityclasses"},
    {"storage.k8s.io", "csidrivers"},
    {"storage.k8s.io", "csinodes"},
    {"storage.k8s.io", "storageclasses"},
    {"storage.k8s.io", "volumeattachments"},
    {"storage.k8s.io", "volumeattributesclasses"},
    {"storagemigration.k8s.io", "storageversionmigrations"},
};

const size_t scope_builtin_len = ARRAY_LEN(scope_builtin);

bool scope_known(const char *group, const char *resource)
{
	for (size_t i = 0; i < ARRAY_LEN(scope_builtin); i++)
		if (strcmp(scope_builtin[i].resource, resource) == 0 &&
		    (!group || strcmp(scope_builtin[i].group, group) == 0))
			return true;
	return false;
}
