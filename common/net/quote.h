// SPDX-License-Identifier: Apache-2.0
// common/net/quote.h -- text from outside, made fit for an error message.
//
//   Quote("10.0.0.x") == "\"10.0.0.x\""
//
// The text that failed to parse may be anything; what comes back is short, printable ASCII, so it is safe in JSON,
// protobuf strings, logs and Kubernetes events.
#ifndef BERTH_COMMON_NET_QUOTE_H_
#define BERTH_COMMON_NET_QUOTE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace berth {

// `text` in double quotes, with C escapes; cut after 80 bytes, which "..." behind the closing quote shows.
std::string Quote(absl::string_view text);

}  // namespace berth

#endif  // BERTH_COMMON_NET_QUOTE_H_
