// SPDX-License-Identifier: Apache-2.0
#include "controller/files/manifest/manifest.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/net/quote.h"
#include "controller/files/manifest/decode.h"
#include "controller/files/manifest/fields.h"
#include "controller/files/manifest/read_text.h"

namespace berth::files {
namespace {

struct KindInfo {
  absl::string_view kind;
  absl::string_view group;  // before the "/" of apiVersion, empty for the core group
  absl::string_view versions[2];
  ObjectKind object;
  bool namespaced;
};

constexpr KindInfo kKinds[] = {
    {"Eip", "network.kubesphere.io", {"v1alpha2", "v1alpha1"}, ObjectKind::kPool, false},
    {"Service", "", {"v1", ""}, ObjectKind::kService, true},
    {"Node", "", {"v1", ""}, ObjectKind::kNode, false},
    {"Namespace", "", {"v1", ""}, ObjectKind::kNamespace, false},
    {"EndpointSlice", "discovery.k8s.io", {"v1", ""}, ObjectKind::kEndpointSlice, true},
};

const KindInfo& InfoOf(ObjectKind kind) {
  return *std::find_if(std::begin(kKinds), std::end(kKinds), [&](const KindInfo& i) { return i.object == kind; });
}

// What a list says of all its items; each may say it itself as well.
struct TypeMeta {
  absl::string_view api_version, kind;
};

// The DNS subdomain rule that the API server has for names.
bool IsName(absl::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  bool after_separator = true;
  for (char c : name) {
    const bool alnum = absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'z');
    if (!alnum && c != '-' && c != '.') return false;
    if (c == '.' && after_separator) return false;
    if (c == '-' && after_separator) return false;
    after_separator = c == '.';
  }
  return name.back() != '-' && name.back() != '.';
}

class Parser {
 public:
  Parser(absl::string_view file, ParsedFile& out) : file_(file), out_(out) {
    for (const ParsedObject& object : out.objects) lines_.emplace(object.key, object.line);
  }

  void Document(const Value& root);
  void Object(const Value& root, const TypeMeta& given);

 private:
  void Items(const Value& root, const TypeMeta& list);
  void Nameless(FieldReader& read);
  std::optional<ObjectKey> ReadKey(FieldReader& read, const Field& root, const KindInfo& info);
  std::optional<AnyObject> Decode(FieldReader& read, const Field& root, const KindInfo& info, const ObjectKey& key,
                                  absl::string_view version);
  void Add(ObjectKey key, int line, std::optional<AnyObject> value);

  absl::string_view file_;
  ParsedFile& out_;
  std::map<ObjectKey, int> lines_;  // of good and bad objects so far
};

void Parser::Nameless(FieldReader& read) {
  out_.nameless = true;
  for (std::string& text : read.TakeProblems()) out_.problems.push_back({std::nullopt, std::move(text)});
}

void Parser::Document(const Value& root) {
  if (root.kind == Value::Kind::kNull) return;
  Object(root, {});
}

void Parser::Items(const Value& root, const TypeMeta& list) {
  FieldReader read(file_, std::string(list.kind));
  const Field field(root);
  const Field items = read.List(field, "items");
  if (!read.ok()) return Nameless(read);
  // A typed list leaves the type out of its items; a List does not.
  TypeMeta given;
  if (list.kind != "List") given = {list.api_version, absl::StripSuffix(list.kind, "List")};
  for (const Field& item : read.Elements(items)) Object(*item.value(), given);
}

void Parser::Object(const Value& root, const TypeMeta& given) {
  FieldReader read(file_, "");
  const Field field(root);
  if (root.kind != Value::Kind::kMap) {
    read.Problem(field,
                 absl::StrCat("an object must be a map with apiVersion and kind, not ", KindWords(root.kind),
                              root.kind == Value::Kind::kList ? "; put several into items of a kind: List" : ""));
    return Nameless(read);
  }
  if (!root.twice.empty()) {
    read.Problem(field, absl::StrCat("has the key ", Quote(root.twice), " twice, remove one"));
    return Nameless(read);
  }
  const absl::string_view kind = read.String(field, "kind").value_or(given.kind);
  const absl::string_view api_version = read.String(field, "apiVersion").value_or(given.api_version);
  if (read.ok() && (kind.empty() || api_version.empty())) {
    read.Problem(field, absl::StrCat("has no ", kind.empty() ? "kind" : "apiVersion"));
  }
  if (!read.ok()) return Nameless(read);

  const std::size_t slash = api_version.find('/');
  const absl::string_view group = slash == absl::string_view::npos ? "" : api_version.substr(0, slash);
  const absl::string_view version = slash == absl::string_view::npos ? api_version : api_version.substr(slash + 1);
  if (absl::EndsWith(kind, "List") && root.Find("items") != nullptr && given.kind.empty()) {
    return Items(root, {api_version, kind});
  }
  const auto* info = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const KindInfo& i) { return i.kind == kind && i.group == group; });
  if (info == std::end(kKinds)) {
    out_.other_kinds.emplace(absl::StrCat(api_version, " ", kind), root.line);
    return;
  }
  FieldReader reader(file_, std::string(kind));
  std::optional<ObjectKey> key = ReadKey(reader, field, *info);
  if (!key) return Nameless(reader);
  std::optional<AnyObject> value = Decode(reader, field, *info, *key, version);
  if (!reader.ok()) {
    for (std::string& text : reader.TakeProblems()) out_.problems.push_back({key, std::move(text)});
    lines_.emplace(*key, root.line);
    out_.wrong.insert(*std::move(key));
    return;
  }
  Add(*std::move(key), root.line, std::move(value));
}

std::optional<ObjectKey> Parser::ReadKey(FieldReader& read, const Field& root, const KindInfo& info) {
  const Field metadata = read.Map(root, "metadata");
  const Field name = read.Get(metadata, "name");
  const std::optional<absl::string_view> text = read.String(name);
  const Field ns = read.Get(metadata, "namespace");
  const std::optional<absl::string_view> ns_text = info.namespaced ? read.String(ns) : std::nullopt;
  if (!read.ok()) return std::nullopt;
  if (!text) {
    read.Problem(name, "is missing");
  } else if (!IsName(*text)) {
    read.Problem(name, absl::StrCat(Quote(*text), " is not a name: lower-case letters, digits, - and . only"));
  }
  if (ns_text && !IsName(*ns_text)) {
    read.Problem(ns, absl::StrCat(Quote(*ns_text), " is not a name: lower-case letters, digits, - and . only"));
  }
  if (!read.ok()) return std::nullopt;
  return ObjectKey{info.object, {info.namespaced ? std::string(ns_text.value_or("default")) : "", std::string(*text)}};
}

std::optional<AnyObject> Parser::Decode(FieldReader& read, const Field& root, const KindInfo& info,
                                        const ObjectKey& key, absl::string_view version) {
  // Only now, so that problems name the object.
  read = FieldReader(file_, key.ToString());
  if (version != info.versions[0] && version != info.versions[1]) {
    const std::string slash = info.group.empty() ? "" : absl::StrCat(info.group, "/");
    read.Problem(read.Get(root, "apiVersion"),
                 absl::StrCat(Quote(absl::StrCat(slash, version)), " is not known, write ", slash, info.versions[0]));
    return std::nullopt;
  }
  switch (info.object) {
    case ObjectKind::kPool:
      return DecodePool(read, root, key.id.name, version == "v1alpha1");
    case ObjectKind::kService:
      return DecodeService(read, root, key.id);
    case ObjectKind::kNode:
      return DecodeNode(read, root, key.id.name);
    case ObjectKind::kNamespace:
      return DecodeNamespace(read, root, key.id.name);
    case ObjectKind::kEndpointSlice:
      break;
  }
  std::optional<model::EndpointSlice> slice = DecodeEndpointSlice(read, root, key.id);
  if (!slice) return std::nullopt;
  return *std::move(slice);
}

void Parser::Add(ObjectKey key, int line, std::optional<AnyObject> value) {
  const auto [it, fresh] = lines_.emplace(key, line);
  if (!fresh) {
    const std::string what = absl::StrCat(key.ToString(), ": is in this file twice, the one in line ", it->second,
                                          " is used; remove one of the two");
    out_.problems.push_back({std::nullopt, ProblemText(file_, line, what)});
    return;
  }
  if (value) out_.objects.push_back({std::move(key), line, *std::move(value)});
}

}  // namespace

std::string ObjectKey::ToString() const {
  const KindInfo& info = InfoOf(kind);
  return absl::StrCat(info.kind, " \"", info.namespaced ? id.ToString() : id.name, "\"");
}

bool IsManifestName(absl::string_view file) {
  if (file.empty() || file.front() == '.') return false;
  return absl::EndsWith(file, ".yaml") || absl::EndsWith(file, ".yml") || absl::EndsWith(file, ".json");
}

ParsedFile UnreadableManifest(absl::string_view file, int line, absl::string_view what) {
  ParsedFile out;
  out.whole = false;
  out.problems.push_back({std::nullopt, ProblemText(file, line, what)});
  return out;
}

void ParseObject(absl::string_view file, const Value& value, ParsedFile& out) { Parser(file, out).Object(value, {}); }

ParsedFile ParseManifest(absl::string_view file, absl::string_view text) {
  if (text.size() > kMaxManifestBytes) {
    return UnreadableManifest(file, 1, absl::StrCat("is larger than ", kMaxManifestBytes >> 20, " MiB, split it"));
  }
  if (text.empty()) {
    return UnreadableManifest(file, 1, "is empty; remove the file to remove its objects");
  }
  absl::StatusOr<Documents> docs = absl::EndsWith(file, ".json") ? ReadJson(text) : ReadYaml(text);
  if (!docs.ok()) {
    // "LINE: what", see read_text.h.
    const absl::string_view message = docs.status().message();
    const std::size_t colon = message.find(": ");
    int line = 1;
    if (!absl::SimpleAtoi(message.substr(0, colon), &line)) line = 1;
    return UnreadableManifest(file, line, message.substr(colon + 2));
  }
  ParsedFile out;
  Parser parser(file, out);
  for (const Value& root : docs->roots) parser.Document(root);
  return out;
}

}  // namespace berth::files
