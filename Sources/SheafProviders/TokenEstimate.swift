/// How many tokens a text has at most, by a rule of thumb: a token has three to four bytes on average.
package enum TokenEstimate {
    /// The most tokens of so many bytes.
    package static func most(_ bytes: Int) -> Int { bytes / 3 + 1 }
    /// The fewest tokens of so many bytes.
    package static func least(_ bytes: Int) -> Int { bytes / 4 }
    /// How many bytes have at most so many tokens.
    static func bytes(of tokens: Int) -> Int { tokens.multipliedReportingOverflow(by: 3).overflow ? .max : tokens * 3 }
}
