// SPDX-License-Identifier: Apache-2.0
// controller/files/manifest/plain_json.h -- the quick way to read JSON, for the JSON that nearly all is.
//
// It says no to whatever is wrong or odd, without saying why; the thorough way (read_json.cc) then tells what is wrong.
// Single strings and numbers that are out of the ordinary (escapes, other letters than ASCII, fractions) are handed to
// nlohmann's parser, so that both ways agree on what they are.
#ifndef BERTH_CONTROLLER_FILES_MANIFEST_PLAIN_JSON_H_
#define BERTH_CONTROLLER_FILES_MANIFEST_PLAIN_JSON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "controller/files/manifest/value.h"

namespace berth::files {

// For one text.
class PlainJson {
 public:
  PlainJson(absl::string_view text, TreeBuilder& builder)
      : at_(text.data()), end_(text.data() + text.size()), builder_(builder) {}

  // False: the text is not JSON, passes a limit of the builder's, or begins with a byte order mark. What was built by
  // then counts for nothing.
  bool Read();

 private:
  char Next();     // behind blanks; 0 at the end, and for a NUL, which is no part of JSON
  bool Element();  // a scalar, or the beginning of a map or list
  bool Member();   // a key and its colon
  bool Close();
  bool String(Value::Kind kind);
  bool Number();
  bool Word(absl::string_view word, Value::Kind kind);

  const char* at_;
  const char* const end_;
  TreeBuilder& builder_;
  int line_ = 1;
  std::string open_;        // the closing brackets awaited, innermost last
  bool just_begun_ = true;  // the innermost has nothing in it yet
};

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_MANIFEST_PLAIN_JSON_H_
