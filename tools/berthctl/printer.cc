// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/printer.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "tools/berthctl/json_yaml.h"

namespace berth::ctl {
namespace {

absl::StatusOr<std::string> Print(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.add_whitespace = indented;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    return absl::InternalError(absl::StrCat("the answer has no JSON form: ", std::string(status.message())));
  }
  if (!absl::EndsWith(json, "\n")) json += '\n';
  return json;
}

}  // namespace

absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message) { return Print(message, true); }

absl::StatusOr<std::string> ToJsonLine(const google::protobuf::Message& message) { return Print(message, false); }

absl::StatusOr<std::string> ToYaml(const google::protobuf::Message& message) {
  ASSIGN_OR_RETURN(const std::string json, ToJsonLine(message));
  return JsonToYaml(json);
}

absl::StatusOr<std::string> ForPrograms(const google::protobuf::Message& message, Output output) {
  return output == Output::kYaml ? ToYaml(message) : ToJson(message);
}

}  // namespace berth::ctl
