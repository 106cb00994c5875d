// SPDX-License-Identifier: Apache-2.0
//
// A small picture in SVG: falling and rising curves over time, both axes by powers of ten.
//
// Only what anytime.cpp needs: steps instead of slopes, since a cost holds until a better one is
// found; a colour for each group and a dash for each kind; ticks at powers of ten.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace tessera::benchmarks {

struct Line {
  std::vector<std::pair<double, double>> points;  // by rising time; each holds until the next
  std::size_t group = 0;                          // of one colour
  bool is_dashed = false;
};

class Picture {
 public:
  Picture(std::string title, std::string x_name, std::string y_name)
      : title_(std::move(title)), x_name_(std::move(x_name)), y_name_(std::move(y_name)) {}

  void add(Line line) { lines_.push_back(std::move(line)); }
  void name_group(std::string name) { groups_.push_back(std::move(name)); }
  void explain_dashes(std::string solid, std::string dashed) {
    solid_ = std::move(solid);
    dashed_ = std::move(dashed);
  }

  std::string svg() {
    find_ranges();
    text_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(width) + "\" height=\"" +
            number(height) + "\" font-family=\"sans-serif\" font-size=\"12\">\n" +
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    label(left, 22, title_, "start", "16");
    label((left + right) / 2, height - 12, x_name_, "middle");
    label(left, top - 10, y_name_, "start");
    x_ticks();
    y_ticks();
    for (const Line& line : lines_) draw(line);
    legend();
    return text_ + "</svg>\n";
  }

 private:
  static constexpr double width = 900, height = 540;
  static constexpr double left = 80, right = 720, top = 56, bottom = 480;

  static std::string number(double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.6g", value);
    return buffer;
  }
  static std::string escaped(const std::string& text) {
    std::string result;
    for (const char c : text) switch (c) {
        case '&': result += "&amp;"; break;
        case '<': result += "&lt;"; break;
        case '>': result += "&gt;"; break;
        default: result += c;
      }
    return result;
  }
  static const char* colour(std::size_t group) {
    // Told apart also by those who see few colours (Okabe and Ito).
    static constexpr const char* colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                              "#e69f00", "#56b4e9", "#000000"};
    return colours[group % std::size(colours)];
  }

  // From one power of ten to another, at least one apart.
  void find_ranges() {
    double x_least = 1, x_most = 1, y_least = 1, y_most = 1;
    bool is_first = true;
    for (const Line& line : lines_)
      for (const auto& [x, y] : line.points) {
        if (is_first) {
          x_least = x_most = x;
          y_least = y_most = y;
          is_first = false;
        }
        x_least = std::min(x_least, x);
        x_most = std::max(x_most, x);
        y_least = std::min(y_least, y);
        y_most = std::max(y_most, y);
      }
    x_from_ = std::floor(std::log10(x_least));
    x_to_ = std::max(x_from_ + 0.1, std::log10(x_most));
    y_from_ = std::floor(std::log10(y_least));
    y_to_ = std::max(y_from_ + 1, std::ceil(std::log10(y_most)));
  }
  double x_of(double x) const {
    return left + (right - left) * (std::log10(x) - x_from_) / (x_to_ - x_from_);
  }
  double y_of(double y) const {
    return bottom - (bottom - top) * (std::log10(y) - y_from_) / (y_to_ - y_from_);
  }

  void label(double x, double y, const std::string& text, const char* anchor,
             const char* size = "12") {
    text_ += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor +
             "\" font-size=\"" + size + "\">" + escaped(text) + "</text>\n";
  }
  void stroke(double x0, double y0, double x1, double y1, const std::string& style) {
    text_ += "<path d=\"M" + number(x0) + " " + number(y0) + "L" + number(x1) + " " + number(y1) +
             "\" fill=\"none\" " + style + "/>\n";
  }
  void x_ticks() {
    for (double power = x_from_; power <= x_to_ + 1e-9; ++power) {
      const double x = x_of(std::pow(10, power));
      stroke(x, top, x, bottom, "stroke=\"#ddd\"");
      label(x, bottom + 18, number(std::pow(10, power)), "middle");
    }
    stroke(left, bottom, right, bottom, "stroke=\"black\"");
  }
  void y_ticks() {
    for (double power = y_from_; power <= y_to_ + 1e-9; ++power) {
      const double y = y_of(std::pow(10, power));
      stroke(left, y, right, y, "stroke=\"#ddd\"");
      label(left - 8, y + 4, number(std::pow(10, power)) + " %", "end");
    }
    stroke(left, top, left, bottom, "stroke=\"black\"");
  }
  void draw(const Line& line) {
    if (line.points.empty()) return;
    std::string path;
    for (std::size_t i = 0; i < line.points.size(); ++i) {
      const std::string x = number(x_of(line.points[i].first));
      const std::string y = number(y_of(line.points[i].second));
      path += i == 0 ? "M" + x + " " + y : "H" + x + "V" + y;
    }
    text_ += "<path d=\"" + path +
             "\" fill=\"none\" stroke-width=\"1.5\" stroke-opacity=\"0.75\" " + "stroke=\"" +
             colour(line.group) + "\"" + (line.is_dashed ? " stroke-dasharray=\"5 3\"" : "") +
             "/>\n";
  }
  void legend() {
    double y = top + 10;
    const auto entry = [&](const std::string& style, const std::string& text) {
      stroke(right + 16, y, right + 44, y, "stroke-width=\"2\" " + style);
      label(right + 50, y + 4, text, "start");
      y += 20;
    };
    for (std::size_t g = 0; g < groups_.size(); ++g)
      entry(std::string("stroke=\"") + colour(g) + "\"", groups_[g]);
    if (!solid_.empty()) entry("stroke=\"#555\"", solid_);
    if (!dashed_.empty()) entry("stroke=\"#555\" stroke-dasharray=\"5 3\"", dashed_);
  }

  std::string title_, x_name_, y_name_, solid_, dashed_, text_;
  std::vector<Line> lines_;
  std::vector<std::string> groups_;
  double x_from_ = 0, x_to_ = 1, y_from_ = 0, y_to_ = 1;
};

}  // namespace tessera::benchmarks
