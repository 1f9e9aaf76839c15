// SPDX-License-Identifier: Apache-2.0
// controller/kube/certs/serving_files.h -- ca.crt, tls.crt and tls.key in a folder, changed all at once, as Kubernetes
// mounts a Secret: each is a link into ..data, which is a link to a folder with one whole set.
#ifndef BERTH_CONTROLLER_KUBE_CERTS_SERVING_FILES_H_
#define BERTH_CONTROLLER_KUBE_CERTS_SERVING_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "controller/kube/certs/tls_material.h"

namespace berth::kube {

// Makes `folder` where absent. The authority's key is not among the files; tls.key is readable by us alone. Not synced
// to disk: the Secret is what survives. Errors: as errno has it, with the path; the former set is then in place still.
absl::Status WriteServingFiles(const std::string& folder, const TlsMaterial& material);

// What is in `folder`, with no authority's key; what cannot be read is empty.
TlsMaterial ReadServingFiles(const std::string& folder);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CERTS_SERVING_FILES_H_
