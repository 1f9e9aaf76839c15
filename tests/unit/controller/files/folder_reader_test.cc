// SPDX-License-Identifier: Apache-2.0
#include "controller/files/folder_reader.h"

#include <sys/stat.h>

#include "tests/unit/controller/files/folder_testing.h"
#include "tests/unit/controller/files/manifest_testing.h"

namespace berth::files {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

Strings NamesIn(const FolderAnswer& answer) {
  Strings names;
  for (const auto& [name, parsed] : answer.files) names.push_back(name);
  return names;
}

FolderRequest All() {
  FolderRequest request;
  request.all = true;
  return request;
}

FolderRequest Some(std::set<std::string> names) {
  FolderRequest request;
  request.names = std::move(names);
  return request;
}

}  // namespace

TEST_CASE("a look at a folder reads what is new or changed and names what is gone", "[unit]") {
  TempFolder folder;
  FolderReader reader(folder.path(), {"known-before.yaml"});
  WriteText(folder / "a.yaml", Eip("{address: 10.0.0.1}"));
  WriteText(folder / "b.json", "{}");
  WriteText(folder / ".c.yaml", "x");
  WriteText(folder / "d.txt", "x");
  FolderAnswer answer = reader.Read(All());
  REQUIRE(answer.status.ok());
  CHECK(NamesIn(answer) == Strings{"a.yaml", "b.json"});
  CHECK(answer.files[0].second.objects.size() == 1);
  CHECK(answer.gone == Strings{"known-before.yaml"});

  answer = reader.Read(All());
  CHECK(NamesIn(answer) == Strings{});
  CHECK(answer.gone == Strings{});

  WriteText(folder / "a.yaml", "# empty now\n");
  fs::remove(folder / "b.json");
  answer = reader.Read(All());
  CHECK(NamesIn(answer) == Strings{"a.yaml"});
  CHECK(answer.gone == Strings{"b.json"});
  CHECK(reader.Read(Some({"a.yaml", "b.json", "never.yaml"})).gone == Strings{});
}

TEST_CASE("a file that is being written is left alone", "[unit]") {
  TempFolder folder;
  FolderReader reader(folder.path(), {});
  WriteText(folder / "a.yaml", "# a\n");
  FolderRequest request = All();
  request.being_written = {"a.yaml"};
  CHECK(NamesIn(reader.Read(request)) == Strings{});
  CHECK(NamesIn(reader.Read(All())) == Strings{"a.yaml"});
}

TEST_CASE("what cannot be read as a file is a problem, not a deletion", "[unit]") {
  TempFolder folder;
  FolderReader reader(folder.path(), {});
  fs::create_directory(folder / "dir.yaml");
  REQUIRE(mkfifo((folder / "pipe.yaml").c_str(), 0600) == 0);
  fs::create_symlink("nowhere", folder / "to-nothing.yaml");
  fs::create_symlink("loop.yaml", folder / "loop.yaml");
  const FolderAnswer answer = reader.Read(All());
  CHECK(answer.gone == Strings{});
  Strings problems;
  for (const auto& [name, parsed] : answer.files) {
    CHECK_FALSE(parsed.whole);
    for (const std::string& text : Texts(parsed)) problems.push_back(text);
  }
  CHECK(problems ==
        Strings{"dir.yaml:1: is not a regular file", "loop.yaml:1: cannot be read: Too many levels of symbolic links",
                "pipe.yaml:1: is not a regular file", "to-nothing.yaml:1: cannot be read: No such file or directory"});
}

TEST_CASE("a file larger than the limit is refused without reading it all", "[unit]") {
  TempFolder folder;
  WriteText(folder / "big.json", "");
  fs::resize_file(folder / "big.json", std::uintmax_t{1} << 40);  // a hole
  FolderReader reader(folder.path(), {});
  const FolderAnswer answer = reader.Read(All());
  REQUIRE(answer.files.size() == 1);
  CHECK(Texts(answer.files[0].second) == Strings{"big.json:1: is larger than 64 MiB, split it"});
}

TEST_CASE("a folder that is not there has no deleted files", "[unit]") {
  TempFolder folder;
  fs::create_directory(folder / "m");
  WriteText(folder / "m/a.yaml", "# a\n");
  FolderReader reader(folder / "m", {});
  reader.Read(All());
  fs::rename(folder / "m", folder / "away");
  for (const FolderRequest& request : {All(), Some({"a.yaml"})}) {
    const FolderAnswer answer = reader.Read(request);
    CHECK(absl::IsNotFound(answer.status));
    CHECK(answer.gone == Strings{});
  }
  fs::create_directory(folder / "m");
  FolderRequest careful = All();
  careful.distrust_empty = true;
  CHECK(absl::IsFailedPrecondition(reader.Read(careful).status));
  WriteText(folder / "m/b.yaml", "# b\n");
  const FolderAnswer answer = reader.Read(careful);
  CHECK(answer.status.ok());
  CHECK(answer.gone == Strings{"a.yaml"});
  CHECK(NamesIn(answer) == Strings{"b.yaml"});
}

}  // namespace berth::files
