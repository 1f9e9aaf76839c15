// SPDX-License-Identifier: Apache-2.0
#include "common/obs/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace berth {
namespace {

// A sink takes finished lines: spdlog's part is to write them whole, one at a time, and to flush.
using Sink = spdlog::sinks::sink;

struct Output {
  std::mutex mutex;  // guards test_sink
  std::function<void(absl::string_view)> test_sink;
  std::shared_ptr<Sink> sink = MakeSink();

  static std::shared_ptr<Sink> MakeSink() {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%v");
    return sink;
  }
};

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<LogFormat> g_format{LogFormat::kText};

// Never destroyed: threads may log while the process ends.
Output& TheOutput() {
  static Output* const output = new Output;
  return *output;
}

absl::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

bool IsControl(char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); }

// Length of the UTF-8 sequence at the start of `s`, 0 if malformed (overlong forms and surrogates included).
std::size_t Utf8Length(absl::string_view s) {
  const auto byte = [&](std::size_t i) { return i < s.size() ? static_cast<std::uint8_t>(s[i]) : std::uint8_t{0}; };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F)) return 0;
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) return 0;
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

// The escapes of JSON, used in both forms: no value can end a line, forge a field or make a line that is no UTF-8.
void AppendQuoted(absl::string_view text, std::string& out) {
  out.push_back('"');
  while (!text.empty()) {
    const std::size_t length = Utf8Length(text);
    const char c = text.front();
    if (length == 0) {
      out.append("\xEF\xBF\xBD");  // U+FFFD for each stray byte
    } else if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else if (c == '\n') {
      out.append("\\n");
    } else if (c == '\t') {
      out.append("\\t");
    } else if (c == '\r') {
      out.append("\\r");
    } else if (length == 1 && IsControl(c)) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      out.append(text.data(), length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out.push_back('"');
}

// Whether a text value can stand without quotes in key=value.
bool IsPlain(absl::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c)) || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

// nan and inf are no JSON numbers.
bool IsJsonNumberOrBool(absl::string_view text) {
  return text == "true" || text == "false" ||
         (!text.empty() && (absl::ascii_isdigit(static_cast<unsigned char>(text.back()))));
}

std::string FormatWall(absl::Time wall) { return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", wall, absl::UTCTimeZone()); }

std::string FormatText(absl::Time wall, LogLevel level, absl::string_view sentence, LogFields fields) {
  std::string line = absl::StrCat(FormatWall(wall), " ", LevelName(level), " ");
  if (std::none_of(sentence.begin(), sentence.end(), IsControl)) {
    absl::StrAppend(&line, sentence);
  } else {
    AppendQuoted(sentence, line);
  }
  for (const LogField& field : fields) {
    const log_internal::Value value = field.Render();
    absl::StrAppend(&line, " ", field.key(), "=");
    if (value.bare || IsPlain(value.text)) {
      line.append(value.text);
    } else {
      AppendQuoted(value.text, line);
    }
  }
  return line;
}

std::string FormatJson(absl::Time wall, LogLevel level, absl::string_view sentence, LogFields fields) {
  std::string line = absl::StrCat("{\"time\":\"", FormatWall(wall), "\",\"level\":\"", LevelName(level), "\",\"msg\":");
  AppendQuoted(sentence, line);
  for (const LogField& field : fields) {
    const log_internal::Value value = field.Render();
    line.push_back(',');
    AppendQuoted(field.key(), line);
    line.push_back(':');
    if (value.bare && IsJsonNumberOrBool(value.text)) {
      line.append(value.text);
    } else {
      AppendQuoted(value.text, line);
    }
  }
  line.push_back('}');
  return line;
}

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view text) {
  for (LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError}) {
    if (text == LevelName(level)) return level;
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a log level, use debug, info, warn or error"));
}

absl::StatusOr<LogFormat> ParseLogFormat(absl::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a log format, use text or json"));
}

std::string FormatLogLine(LogFormat format, absl::Time wall, LogLevel level, absl::string_view sentence,
                          LogFields fields) {
  return format == LogFormat::kJson ? FormatJson(wall, level, sentence, fields)
                                    : FormatText(wall, level, sentence, fields);
}

void LogInit(LogLevel level, LogFormat format) {
  g_level.store(level, std::memory_order_relaxed);
  g_format.store(format, std::memory_order_relaxed);
}

bool LogEnabled(LogLevel level) { return level >= g_level.load(std::memory_order_relaxed); }

void Log(LogLevel level, absl::string_view sentence, LogFields fields) {
  if (!LogEnabled(level)) return;
  const std::string line =
      FormatLogLine(g_format.load(std::memory_order_relaxed), absl::Now(), level, sentence, fields);
  Output& output = TheOutput();
  std::lock_guard lock(output.mutex);
  if (output.test_sink) {
    output.test_sink(line);
    return;
  }
  try {
    output.sink->log(spdlog::details::log_msg("", spdlog::level::info, line));
    output.sink->flush();
  } catch (...) {  // NOLINT(bugprone-empty-catch)
    // A closed or full stderr must not end the process, and there is no other place to say it
  }
}

void LogToForTest(std::function<void(absl::string_view)> sink) {
  Output& output = TheOutput();
  std::lock_guard lock(output.mutex);
  output.test_sink = std::move(sink);
}

}  // namespace berth
