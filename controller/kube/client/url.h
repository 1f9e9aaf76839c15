// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/url.h -- text as a value in a URL's query.
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_URL_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_URL_H_

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace berth::kube {

// All but letters, digits and "-._~" as %XX: EscapeQuery("a in (b)") == "a%20in%20%28b%29".
inline std::string EscapeQuery(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      escaped.push_back(c);
    } else {
      absl::StrAppend(&escaped, "%", absl::Hex(byte, absl::kZeroPad2));
    }
  }
  return escaped;
}

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_URL_H_
