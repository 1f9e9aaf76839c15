// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/api_error.h"

#include <cstddef>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace berth::kube {
namespace {

constexpr std::size_t kMaxMessage = 1024;

struct Words {
  std::string message, reason;
  int code = 0;
};

Words WordsOf(absl::string_view body) {
  Words words;
  const nlohmann::json status =
      nlohmann::json::parse(body.data(), body.data() + body.size(), nullptr, /*allow_exceptions=*/false);
  if (status.is_object() && status.contains("kind") && status["kind"] == "Status") {
    const auto text = [&](const char* key) {
      const auto found = status.find(key);
      return found != status.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    words.message = text("message");
    words.reason = text("reason");
    const auto code = status.find("code");
    if (code != status.end() && code->is_number_integer()) words.code = code->get<int>();
  } else {
    words.message = std::string(absl::StripAsciiWhitespace(body.substr(0, kMaxMessage)));
  }
  if (words.message.size() > kMaxMessage) words.message.resize(kMaxMessage);
  return words;
}

absl::StatusCode CodeOf(int code, absl::string_view reason, bool retry_after) {
  switch (code) {
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 408:
      return absl::StatusCode::kUnknown;
    case 409:
      return reason == "AlreadyExists" ? absl::StatusCode::kAlreadyExists : absl::StatusCode::kAborted;
    case 410:
      return absl::StatusCode::kOutOfRange;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 503:
      return retry_after ? absl::StatusCode::kUnavailable : absl::StatusCode::kUnknown;
    default:
      break;
  }
  // A redirection is not followed: it would carry the token to who knows where.
  return code >= 300 && code < 500 ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kUnknown;
}

absl::Status Error(const ApiRequest& request, int code, bool retry_after, const Words& words) {
  std::string text = Attempt(request);
  if (words.message.empty()) {
    absl::StrAppend(&text, "HTTP status ", code, words.reason.empty() ? "" : " ", words.reason);
  } else {
    absl::StrAppend(&text, words.message, words.reason.empty() ? absl::StrCat(" (HTTP status ", code, ")") : "");
  }
  return absl::Status(CodeOf(code, words.reason, retry_after), text);
}

}  // namespace

std::string Attempt(const ApiRequest& request) { return absl::StrCat(request.verb, " ", request.resource, ": "); }

absl::Status ErrorOfResponse(const ApiRequest& request, int code, bool retry_after, absl::string_view body) {
  return Error(request, code, retry_after, WordsOf(body));
}

absl::Status ErrorOfWatchLine(const ApiRequest& request, absl::string_view object) {
  const Words words = WordsOf(object);
  return Error(request, words.code == 0 ? 500 : words.code, /*retry_after=*/false, words);
}

}  // namespace berth::kube
