// SPDX-License-Identifier: Apache-2.0
#include "common/obs/log.h"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace berth {
namespace {

using Catch::Contains;

constexpr char kTime[] = "2026-01-02T03:04:05.678Z";
const absl::Time kWall = absl::FromUnixMillis(1767323045678);

std::string Text(LogFields fields, absl::string_view sentence = "said") {
  return FormatLogLine(LogFormat::kText, kWall, LogLevel::kInfo, sentence, fields);
}
std::string Json(LogFields fields, absl::string_view sentence = "said") {
  return FormatLogLine(LogFormat::kJson, kWall, LogLevel::kWarn, sentence, fields);
}
std::string TextPrefix() { return std::string(kTime) + " info said"; }
std::string JsonPrefix() { return std::string("{\"time\":\"") + kTime + R"(","level":"warn","msg":"said")"; }

struct Printed {
  std::string ToString() const { return "printed thing"; }
};
enum class Colour { kRed };
absl::string_view ToString(Colour) { return "red"; }

// Catches lines, and puts level, form and sink back in the end.
class Caught {
 public:
  Caught() {
    LogToForTest([this](absl::string_view line) { lines.emplace_back(line); });
  }
  ~Caught() {
    LogToForTest(nullptr);
    LogInit(LogLevel::kInfo, LogFormat::kText);
  }
  std::vector<std::string> lines;
};

TEST_CASE("a text line is time, level, sentence and fields in their order", "[unit]") {
  CHECK(Text({}) == TextPrefix());
  CHECK(Text({{"b", "1"}, {"a", 2}, {"c", true}}) == TextPrefix() + " b=1 a=2 c=true");
}

TEST_CASE("every kind of value is printed in both forms", "[unit]") {
  const std::string owned = "owned";
  const std::vector<int> list = {1, 2, 3};
  CHECK(Text({{"s", owned},
              {"v", absl::string_view("view")},
              {"std", std::string_view("std")},
              {"f", 1.5},
              {"u", std::uint8_t{7}},
              {"big", std::int64_t{-9007199254740993}},
              {"d", absl::Milliseconds(1500)},
              {"t", kWall},
              {"p", Printed()},
              {"e", Colour::kRed},
              {"l", list},
              {"st", absl::NotFoundError("no pool")}}) ==
        TextPrefix() + " s=owned v=view std=std f=1.5 u=7 big=-9007199254740993 d=1.5s t=" + kTime +
            " p=\"printed thing\" e=red l=1,2,3 st=\"NOT_FOUND: no pool\"");
  CHECK(Json({{"n", -3}, {"f", 0.25}, {"b", false}, {"s", "7"}}) ==
        JsonPrefix() + R"(,"n":-3,"f":0.25,"b":false,"s":"7"})");
}

TEST_CASE("a value that would break the line or forge a field is quoted", "[unit]") {
  const auto [value, quoted] = GENERATE(table<std::string, std::string>({
      {"", R"("")"},
      {"a b", R"("a b")"},
      {"a=b", R"("a=b")"},
      {"say \"hi\"", R"("say \"hi\"")"},
      {"back\\slash", R"("back\\slash")"},
      {"two\nlines\r\t", R"("two\nlines\r\t")"},
      {std::string("nul\0esc\x1b\x7f", 9), R"("nul\u0000esc\u001b\u007f")"},
      {"caf\xC3\xA9 \xF0\x9F\x9A\xA2", "\"caf\xC3\xA9 \xF0\x9F\x9A\xA2\""},
      {"bad\xFF\xC0\xAF\xED\xA0\x80\xE2\x82",
       "\"bad\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
       "\xEF\xBF\xBD\xEF\xBF\xBD\""},
  }));
  CAPTURE(value);
  CHECK(Text({{"k", value}}) == TextPrefix() + " k=" + quoted);
  CHECK(Json({{"k", value}}) == JsonPrefix() + ",\"k\":" + quoted + "}");
}

TEST_CASE("numbers that JSON does not have are written as strings", "[unit]") {
  CHECK(Json({{"k", std::nan("")}}) == JsonPrefix() + R"(,"k":"nan"})");
  CHECK(Json({{"k", -INFINITY}}) == JsonPrefix() + R"(,"k":"-inf"})");
}

TEST_CASE("a sentence with a line break stays on one line", "[unit]") {
  CHECK(Text({}, "a\nb") == std::string(kTime) + R"( info "a\nb")");
}

TEST_CASE("levels below the one set are not written, and their values not rendered", "[unit]") {
  struct Counted {
    int* count;
    std::string ToString() const {
      ++*count;
      return "x";
    }
  };
  Caught caught;
  int rendered = 0;
  LogDebug("off", {{"k", Counted{&rendered}}});
  CHECK(rendered == 0);
  LogInit(LogLevel::kWarn, LogFormat::kText);
  LogInfo("off", {{"k", Counted{&rendered}}});
  LogWarn("on", {{"k", Counted{&rendered}}});
  LogError("on too");
  CHECK(rendered == 1);
  REQUIRE(caught.lines.size() == 2);
  CHECK_THAT(caught.lines[0], Contains(" warn on k=x"));
  CHECK_THAT(caught.lines[1], Contains(" error on too"));
}

TEST_CASE("LogInit switches debug on and the form to JSON", "[unit]") {
  Caught caught;
  LogInit(LogLevel::kDebug, LogFormat::kJson);
  LogDebug("on", {{"k", 1}});
  REQUIRE(caught.lines.size() == 1);
  CHECK_THAT(caught.lines[0], Contains(R"("level":"debug","msg":"on","k":1})"));
}

TEST_CASE("lines of many threads do not mix on stderr", "[unit]") {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const int saved = ::dup(STDERR_FILENO);
  REQUIRE(::dup2(pipe[1], STDERR_FILENO) == STDERR_FILENO);
  std::vector<std::thread> threads;
  const std::string value(100, 'v');
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) LogInfo("line", {{"k", value}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  ::close(pipe[1]);
  std::string all;  // 200 lines of 140 bytes fit into the pipe, so nobody waited
  std::array<char, 4096> block{};
  for (ssize_t n = 0; (n = ::read(pipe[0], block.data(), block.size())) > 0;)
    all.append(block.data(), static_cast<std::size_t>(n));
  ::close(pipe[0]);
  int lines = 0;
  for (std::size_t at = 0; at < all.size(); ++lines) {
    const std::size_t end = all.find('\n', at);
    REQUIRE(end != std::string::npos);
    CHECK(all.substr(at + 24, end - at - 24) == " info line k=" + value);
    at = end + 1;
  }
  CHECK(lines == 200);
}

TEST_CASE("the words of the flags are read, others refused with what is allowed", "[unit]") {
  CHECK(*ParseLogLevel("debug") == LogLevel::kDebug);
  CHECK(*ParseLogLevel("error") == LogLevel::kError);
  CHECK(*ParseLogFormat("json") == LogFormat::kJson);
  CHECK_THAT(std::string(ParseLogLevel("warning").status().message()),
             Contains("\"warning\"") && Contains("debug, info, warn or error"));
  CHECK_THAT(std::string(ParseLogFormat("xml").status().message()), Contains("\"xml\"") && Contains("text or json"));
}

}  // namespace
}  // namespace berth
