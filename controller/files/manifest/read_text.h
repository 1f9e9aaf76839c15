// SPDX-License-Identifier: Apache-2.0
// controller/files/manifest/read_text.h -- YAML and JSON text to values. Pure.
//
// Errors of both: InvalidArgument, "LINE: what is wrong", for text that is not YAML or JSON or passes a limit of
// value.h.
#ifndef BERTH_CONTROLLER_FILES_MANIFEST_READ_TEXT_H_
#define BERTH_CONTROLLER_FILES_MANIFEST_READ_TEXT_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "controller/files/manifest/value.h"

namespace berth::files {

// A stream of YAML documents. Plain words get the types of YAML 1.2's core schema; anchors and aliases are resolved.
absl::StatusOr<Documents> ReadYaml(absl::string_view text);
// One JSON text (RFC 8259).
absl::StatusOr<Documents> ReadJson(absl::string_view text);

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_MANIFEST_READ_TEXT_H_
