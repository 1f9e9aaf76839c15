// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/json_yaml.h -- JSON text as YAML, fields in the same order. Pure.
#ifndef BERTH_TOOLS_BERTHCTL_JSON_YAML_H_
#define BERTH_TOOLS_BERTHCTL_JSON_YAML_H_

#include <string>

#include "absl/status/statusor.h"

namespace berth::ctl {

// Block style, two blanks a level; strings that a YAML reader could take for something else are quoted.
// Errors: InvalidArgument when `json` is none.
absl::StatusOr<std::string> JsonToYaml(const std::string& json);

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_JSON_YAML_H_
