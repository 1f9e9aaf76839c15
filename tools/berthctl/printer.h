// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/printer.h -- the forms of -o, and messages in the two that programs read. Pure.
#ifndef BERTH_TOOLS_BERTHCTL_PRINTER_H_
#define BERTH_TOOLS_BERTHCTL_PRINTER_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace berth::ctl {

enum class Output : std::uint8_t { kTable, kWide, kJson, kYaml };

inline bool IsForPrograms(Output output) { return output == Output::kJson || output == Output::kYaml; }

// protobuf JSON, every field printed, indented; ends with a newline. Errors: Internal when a field has no JSON form.
absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message);
// The same on one line.
absl::StatusOr<std::string> ToJsonLine(const google::protobuf::Message& message);
// The same structure as YAML.
absl::StatusOr<std::string> ToYaml(const google::protobuf::Message& message);
// ToYaml when that is asked for, else ToJson.
absl::StatusOr<std::string> ForPrograms(const google::protobuf::Message& message, Output output);

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_PRINTER_H_
