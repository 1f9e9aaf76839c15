// SPDX-License-Identifier: Apache-2.0
// common/obs/http_parse.h -- the head of an HTTP/1.x request (RFC 9112) as far as a GET-only endpoint needs it. Pure.
#ifndef BERTH_COMMON_OBS_HTTP_PARSE_H_
#define BERTH_COMMON_OBS_HTTP_PARSE_H_

#include <cstddef>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"

namespace berth {

struct HttpHead {
  std::string method;
  std::string path;         // starts with '/'
  std::string query;        // undecoded, without '?'
  bool keep_alive = false;  // by version and Connection header
  bool has_body = false;    // announces a body: answer, then close, since it is not read
  std::size_t size = 0;     // bytes of the head with its empty line
};

struct HttpIncomplete {};  // needs more bytes
struct HttpRefused {       // answer with this code and close
  int code;
};

using HttpParseResult = std::variant<HttpHead, HttpIncomplete, HttpRefused>;

// The first head in `bytes`. 431 once `max_head` bytes hold no complete one, 400 for what is no request, 505 for a
// version that is not 1.x.
HttpParseResult ParseHttpHead(absl::string_view bytes, std::size_t max_head);

}  // namespace berth

#endif  // BERTH_COMMON_OBS_HTTP_PARSE_H_
