// SPDX-License-Identifier: Apache-2.0
// common/obs/log.h -- one event, one line on stderr: a fixed sentence and key=value fields.
//
//   LogInfo("address assigned", {{"service", id}, {"ip", address}, {"pool", pool.name}});
//     text: 2026-01-02T03:04:05.678Z info address assigned service=shop/web ip=192.0.2.10 pool="edge 1"
//     json: {"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"address assigned","service":"shop/web",...}
//
// Which level: what is expected to happen, debug; a change of state, info; what a person should look at, warn; what a
// person must act on, error. Log a lasting failure once and when it changes, not at each retry. Never a secret.
//
// Values are rendered only when the level is on: a LogDebug that is off costs a load and the making of a few pointers.
// All functions: any thread.
#ifndef BERTH_COMMON_OBS_LOG_H_
#define BERTH_COMMON_OBS_LOG_H_

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

enum class LogLevel { kDebug, kInfo, kWarn, kError };
enum class LogFormat { kText, kJson };

// For flags. Errors: InvalidArgument naming the words allowed.
absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view text);    // debug, info, warn, error
absl::StatusOr<LogFormat> ParseLogFormat(absl::string_view text);  // text, json

namespace log_internal {

struct Value {
  std::string text;
  bool bare = false;  // a number or a bool: JSON without quotes
};

template <typename T>
concept HasToString = requires(const T& v) { absl::string_view(v.ToString()); };
template <typename T>
concept HasFreeToString = requires(const T& v) { absl::string_view(ToString(v)); };
template <typename T>
concept IsRange = requires(const T& v) { v.begin() != v.end(); };

template <typename T>
Value Render(const T& v) {
  if constexpr (std::is_same_v<T, bool>) {
    return {v ? "true" : "false", true};
  } else if constexpr (std::is_arithmetic_v<T>) {
    return {absl::StrCat(v), true};
  } else if constexpr (std::is_convertible_v<const T&, absl::string_view>) {
    return {std::string(absl::string_view(v)), false};
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return {std::string(std::string_view(v)), false};
  } else if constexpr (std::is_same_v<T, absl::Duration>) {
    return {absl::FormatDuration(v), false};
  } else if constexpr (std::is_same_v<T, absl::Time>) {
    return {absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", v, absl::UTCTimeZone()), false};
  } else if constexpr (HasToString<T>) {  // also absl::Status
    return {std::string(absl::string_view(v.ToString())), false};
  } else if constexpr (HasFreeToString<T>) {
    return {std::string(absl::string_view(ToString(v))), false};
  } else {
    static_assert(IsRange<T>, "a log field is a number, bool, string, time, Status, a type with ToString, or a range");
    Value list;
    for (const auto& element : v) absl::StrAppend(&list.text, list.text.empty() ? "" : ",", Render(element).text);
    return list;
  }
}

}  // namespace log_internal

// A key and a look at a value, which must outlive the call it is written in.
class LogField {
 public:
  // Implicit by design: fields are written {"key", value}. Keys are lower_snake words.
  template <typename T>
  LogField(absl::string_view key, const T& value)
      : key_(key),
        value_(&value),
        render_([](const void* v) { return log_internal::Render(*static_cast<const T*>(v)); }) {}
  LogField(const LogField&) = delete;
  LogField& operator=(const LogField&) = delete;
  LogField(LogField&&) = default;
  LogField& operator=(LogField&&) = delete;

  absl::string_view key() const { return key_; }
  log_internal::Value Render() const { return render_(value_); }

 private:
  absl::string_view key_;
  const void* value_;
  log_internal::Value (*render_)(const void*);
};

// The fields of one line: written in braces, or as many as a vector has.
class LogFields {
 public:
  LogFields() = default;
  LogFields(std::initializer_list<LogField> fields) {
    begin_ = fields.begin();  // both live to the end of the call that this is written in
    end_ = fields.end();
  }
  explicit LogFields(const std::vector<LogField>& fields) : begin_(fields.data()), end_(begin_ + fields.size()) {}
  const LogField* begin() const { return begin_; }
  const LogField* end() const { return end_; }

 private:
  const LogField* begin_ = nullptr;
  const LogField* end_ = nullptr;
};

// Sets level and form for the process; call first in main. Without it: info, text.
void LogInit(LogLevel level, LogFormat format);
bool LogEnabled(LogLevel level);

void Log(LogLevel level, absl::string_view sentence, LogFields fields = {});
inline void LogDebug(absl::string_view sentence, LogFields fields = {}) {
  if (LogEnabled(LogLevel::kDebug)) Log(LogLevel::kDebug, sentence, fields);
}
inline void LogInfo(absl::string_view sentence, LogFields fields = {}) { Log(LogLevel::kInfo, sentence, fields); }
inline void LogWarn(absl::string_view sentence, LogFields fields = {}) { Log(LogLevel::kWarn, sentence, fields); }
inline void LogError(absl::string_view sentence, LogFields fields = {}) { Log(LogLevel::kError, sentence, fields); }

// One line without its end; pure, exposed for tests.
std::string FormatLogLine(LogFormat format, absl::Time wall, LogLevel level, absl::string_view sentence,
                          LogFields fields);

// Sends lines to `sink` instead of stderr; nullptr goes back. `sink` is called under the log's own lock: it must not
// log.
void LogToForTest(std::function<void(absl::string_view line)> sink);

}  // namespace berth

#endif  // BERTH_COMMON_OBS_LOG_H_
