// SPDX-License-Identifier: Apache-2.0
// controller/files/json_line.h -- writes one line of JSON piece by piece, without a tree in between.
//
//   JsonLine line;
//   line.Begin('{').Key("node").Text("node1").Key("macs").Begin('[').End(']').End('}');
//   line.Take() == R"({"node":"node1","macs":[]})"
#ifndef BERTH_CONTROLLER_FILES_JSON_LINE_H_
#define BERTH_CONTROLLER_FILES_JSON_LINE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace berth::files {

// Puts commas where they belong; that brackets and keys match is the caller's business. For one thread.
class JsonLine {
 public:
  JsonLine() { text_.reserve(1024); }

  JsonLine& Begin(char bracket);            // '{' or '['
  JsonLine& End(char bracket);              // '}' or ']'
  JsonLine& Key(absl::string_view name);    // written as it is: nothing in it may need escaping
  JsonLine& Text(absl::string_view value);  // bytes that are not UTF-8 become U+FFFD
  JsonLine& Name(absl::string_view name);   // a key that may need it
  JsonLine& Number(std::uint64_t value);
  JsonLine& True();
  JsonLine& Member(absl::string_view name, absl::string_view text) { return Key(name).Text(text); }
  // What was written. Keep no more than one line of it: it has room to spare.
  std::string Take() { return std::exchange(text_, {}); }

 private:
  void Separate();

  std::string text_;
  bool comma_ = false;  // a value was written before, at this depth
};

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_JSON_LINE_H_
