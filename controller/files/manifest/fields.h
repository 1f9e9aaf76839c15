// SPDX-License-Identifier: Apache-2.0
// controller/files/manifest/fields.h -- reads the fields of one object strictly, and says where each bad one is.
//
//   FieldReader read("web.yaml", "Eip \"eip-pool\"");
//   Field spec = read.Map(Field(root), "spec");
//   bool disable = read.Bool(spec, "disable").value_or(false);
//   read.problems()    // "web.yaml:12: Eip \"eip-pool\": spec.disable: must be true or false, not a string \"yes\""
//
// A field that is absent, or null, is no problem; one of the wrong type is, and reads as if absent. Unknown fields are
// ignored, as the API server does.
#ifndef BERTH_CONTROLLER_FILES_MANIFEST_FIELDS_H_
#define BERTH_CONTROLLER_FILES_MANIFEST_FIELDS_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "controller/files/manifest/value.h"
#include "controller/model/objects.h"

namespace berth::files {

// A place in an object: a value, or the absence of one, and the way to it. Keeps a pointer to its parent, so it is used
// within one function only.
class Field {
 public:
  explicit Field(const Value& root) : value_(&root) {}
  // Null when absent.
  const Value* value() const { return value_; }
  bool present() const { return value_ != nullptr; }
  int line() const;          // of the value, or of the nearest place above it
  std::string Path() const;  // "spec.ports[0].port"

 private:
  friend class FieldReader;
  Field(const Field* parent, absl::string_view key, const Value* value) : value_(value), parent_(parent), key_(key) {}
  const Value* value_;
  const Field* parent_ = nullptr;
  absl::string_view key_;
  int index_ = -1;  // within a list, instead of a key
};

class FieldReader {
 public:
  // `file` and `who` begin each problem; either may be empty.
  FieldReader(absl::string_view file, std::string who) : file_(file), who_(std::move(who)) {}

  // The member `key` of `parent`, which must be a map or absent; a null counts as absent.
  Field Get(const Field& parent, absl::string_view key);
  // The same, and it must be a map (a list) itself.
  Field Map(const Field& parent, absl::string_view key);
  Field List(const Field& parent, absl::string_view key);
  // The elements of a list that List returned. Valid while `list` is.
  std::vector<Field> Elements(const Field& list);

  std::optional<absl::string_view> String(const Field& parent, absl::string_view key);
  std::optional<absl::string_view> String(const Field& field);
  std::optional<bool> Bool(const Field& parent, absl::string_view key);
  std::optional<std::int64_t> Int(const Field& parent, absl::string_view key, std::int64_t min, std::int64_t max);
  // One of `words`, by its index.
  std::optional<std::size_t> Enum(const Field& parent, absl::string_view key,
                                  std::initializer_list<absl::string_view> words);
  std::vector<std::string> Strings(const Field& parent, absl::string_view key);
  model::Labels StringMap(const Field& parent, absl::string_view key);

  void Problem(const Field& at, absl::string_view what);
  const std::vector<std::string>& problems() const { return problems_; }
  std::vector<std::string> TakeProblems() { return std::move(problems_); }
  bool ok() const { return problems_.empty(); }

 private:
  void WrongType(const Field& at, absl::string_view wanted);
  bool CheckMap(const Field& field);

  absl::string_view file_;
  std::string who_;
  std::vector<std::string> problems_;
};

// "web.yaml:12: `what`", printable whatever `what` has inside; without a file `what` alone.
std::string ProblemText(absl::string_view file, int line, absl::string_view what);

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_MANIFEST_FIELDS_H_
