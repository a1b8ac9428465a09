// SPDX-License-Identifier: Apache-2.0
//
// How the keys and values of a saved table are written: the typed half of Table::save and Table::load. Namespace
// detail.
//
// Bytes, without alignment; integers lowest byte first. Taken are: numbers, bool, enumerations; std::string; optional,
// pair, tuple and array of such; the standard containers of such; Atom; and aggregates, field by field. A type's schema
// is a hash of this structure: a file of other types is refused. Another type is a compile error that names
// `cannot_be_saved`. A range of more than 2^20 elements without any data is badarg when it is saved.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <coppice/atom.hpp>
#include <coppice/message.hpp>
#include <coppice/process.hpp>
#include <coppice/reflect.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

template <class T>
struct cannot_be_saved;  // never defined: its name is the compiler's message

struct Decoder {
  std::string_view rest;
  [[nodiscard]] bool take(void* to, std::size_t size) noexcept {
    if (rest.size() < size) return false;
    std::memcpy(to, rest.data(), size);
    rest.remove_prefix(size);
    return true;
  }
  // Whether so many values of at least so many bytes may follow: nothing is made of a count that cannot be right.
  [[nodiscard]] bool may_hold(std::uint64_t count, std::uint64_t bytes_min) const noexcept {
    return count <= (bytes_min == 0 ? without_bytes_max : rest.size() / bytes_min);
  }
  // Values without any data take no bytes, so only this says how many of them are too many.
  static constexpr std::uint64_t without_bytes_max = 1 << 20;
};

template <class T>
concept SavedNumber = std::is_arithmetic_v<T> || std::is_enum_v<T>;
template <class T>
concept SavedRange =
    TermRange<T> && requires(T& range, typename T::value_type value) { range.insert(range.end(), value); };

constexpr std::uint64_t mix_schema(std::uint64_t a, std::uint64_t b) noexcept {
  return (a * 0x100000001b3ULL ^ b) * 0x9e3779b97f4a7c15ULL + 1;
}

template <class T>
consteval std::uint64_t schema();
template <class... Ts>
consteval std::uint64_t schema_of_fields(FieldTypes<Ts...>) {
  std::uint64_t h = 7 + sizeof...(Ts);
  ((h = mix_schema(h, schema<Ts>())), ...);
  return h;
}
template <class T, std::size_t... I>
consteval std::uint64_t schema_of_elements(std::index_sequence<I...>) {
  return schema_of_fields(FieldTypes<std::remove_cvref_t<std::tuple_element_t<I, T>>...>());
}
template <class T>
consteval std::uint64_t schema() {
  if constexpr (std::is_enum_v<T>) {
    return mix_schema(schema<std::underlying_type_t<T>>(), hash_text(type_name_of<T>()));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return 100 + sizeof(T) * 4 + (std::is_floating_point_v<T> ? 2 : std::is_signed_v<T> ? 1 : 0);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return 2;
  } else if constexpr (std::is_same_v<T, Atom>) {
    return 3;
  } else if constexpr (TermOptional<T>) {
    return mix_schema(4, schema<typename T::value_type>());
  } else if constexpr (TermMap<T> && SavedRange<T>) {
    return mix_schema(5, mix_schema(schema<typename T::key_type>(), schema<typename T::mapped_type>()));
  } else if constexpr (SavedRange<T>) {
    return mix_schema(6, schema<typename T::value_type>());
  } else if constexpr (TermTupleLike<T>) {
    return schema_of_elements<T>(std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (Reflectable<T>) {
    return mix_schema(hash_text(type_name_of<T>()), schema_of_fields(field_types_of<T>()));
  } else {
    return sizeof(cannot_be_saved<T>);
  }
}
template <class K, class V>
consteval std::uint64_t schema_of() {
  return mix_schema(schema<K>(), schema<V>());
}

// The fewest bytes that a value of this type takes.
template <class T>
consteval std::uint64_t bytes_min();
template <class... Ts>
consteval std::uint64_t bytes_min_of_fields(FieldTypes<Ts...>) {
  return (std::uint64_t{0} + ... + bytes_min<Ts>());
}
template <class T, std::size_t... I>
consteval std::uint64_t bytes_min_of_elements(std::index_sequence<I...>) {
  return (std::uint64_t{0} + ... + bytes_min<std::remove_cvref_t<std::tuple_element_t<I, T>>>());
}
template <class T>
consteval std::uint64_t bytes_min() {
  if constexpr (SavedNumber<T>) {
    return sizeof(T);
  } else if constexpr (TermOptional<T>) {
    return 1;
  } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, Atom> || SavedRange<T>) {
    return sizeof(std::uint64_t);  // a length
  } else if constexpr (TermTupleLike<T>) {
    return bytes_min_of_elements<T>(std::make_index_sequence<std::tuple_size_v<T>>{});
  } else {
    return bytes_min_of_fields(field_types_of<T>());
  }
}

// -- writing

template <class T>
void encode(std::string& out, const T& value);

inline void encode_size(std::string& out, std::uint64_t size) { encode(out, size); }

template <class T>
void encode(std::string& out, const T& value) {
  if constexpr (SavedNumber<T>) {
    static_assert(std::endian::native == std::endian::little || sizeof(T) == 1, "saved tables are little-endian");
    out.append(reinterpret_cast<const char*>(&value), sizeof(T));
  } else if constexpr (std::is_same_v<T, std::string>) {
    encode_size(out, value.size());
    out += value;
  } else if constexpr (std::is_same_v<T, Atom>) {
    encode(out, std::string(value.text()));
  } else if constexpr (TermOptional<T>) {
    encode(out, value.has_value());
    if (value) encode(out, *value);
  } else if constexpr (SavedRange<T>) {
    if (bytes_min<typename T::value_type>() == 0 && value.size() > Decoder::without_bytes_max) {
      throw_badarg("ets: a range of more than a million elements without data cannot be saved");
    }
    encode_size(out, value.size());
    for (const auto& element : value) encode(out, static_cast<const typename T::value_type&>(element));
  } else if constexpr (TermTupleLike<T>) {
    std::apply([&](const auto&... elements) { (encode(out, elements), ...); }, value);
  } else {
    for_each_field(value, [&](std::string_view, const auto& field) { encode(out, field); });
  }
}

// -- reading: nothing if the bytes are no such value

template <class T>
std::optional<T> decode(Decoder& in);

template <class T, class... Ts>
std::optional<T> decode_fields(Decoder& in, FieldTypes<Ts...>) {
  std::tuple<std::optional<Ts>...> parts;
  const bool whole = std::apply(
      [&](auto&... part) { return ((part = decode<std::remove_cvref_t<decltype(*part)>>(in)).has_value() && ...); },
      parts);
  if (!whole) return std::nullopt;
  return std::apply([](auto&... part) { return std::optional<T>(T{*std::move(part)...}); }, parts);
}
template <class T, std::size_t... I>
std::optional<T> decode_elements(Decoder& in, std::index_sequence<I...>) {
  return decode_fields<T>(in, FieldTypes<std::remove_cvref_t<std::tuple_element_t<I, T>>...>());
}

template <class T>
struct plain_element {
  using type = T;
};
template <class A, class B>
struct plain_element<std::pair<const A, B>> {
  using type = std::pair<A, B>;
};

template <class T>
std::optional<T> decode_range(Decoder& in) {
  std::uint64_t size = 0;
  if (!in.take(&size, sizeof size) || !in.may_hold(size, bytes_min<typename T::value_type>())) return std::nullopt;
  T range;
  for (std::uint64_t i = 0; i < size; ++i) {
    auto element = decode<typename plain_element<typename T::value_type>::type>(in);
    if (!element) return std::nullopt;
    range.insert(range.end(), *std::move(element));
  }
  return std::optional<T>(std::move(range));
}

template <class T>
std::optional<T> decode(Decoder& in) {
  if constexpr (std::is_same_v<T, bool>) {
    unsigned char byte = 0;
    if (!in.take(&byte, 1) || byte > 1) return std::nullopt;
    return byte == 1;
  } else if constexpr (SavedNumber<T>) {
    T value{};
    if (!in.take(&value, sizeof value)) return std::nullopt;
    return value;
  } else if constexpr (std::is_same_v<T, std::string>) {
    std::uint64_t size = 0;
    if (!in.take(&size, sizeof size) || in.rest.size() < size) return std::nullopt;
    std::string text(in.rest.substr(0, size));
    in.rest.remove_prefix(size);
    return text;
  } else if constexpr (std::is_same_v<T, Atom>) {
    const std::optional<std::string> text = decode<std::string>(in);
    return text ? std::optional<T>(Atom(*text)) : std::nullopt;
  } else if constexpr (TermOptional<T>) {
    const std::optional<bool> there = decode<bool>(in);
    if (!there) return std::nullopt;
    if (!*there) return std::optional<T>(std::in_place);
    auto value = decode<typename T::value_type>(in);
    return value ? std::optional<T>(std::in_place, *std::move(value)) : std::nullopt;
  } else if constexpr (SavedRange<T>) {
    return decode_range<T>(in);
  } else if constexpr (TermTupleLike<T>) {
    return decode_elements<T>(in, std::make_index_sequence<std::tuple_size_v<T>>{});
  } else {
    return decode_fields<T>(in, field_types_of<T>());
  }
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
