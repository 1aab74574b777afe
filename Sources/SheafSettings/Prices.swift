package import SheafCore

/// What calls of models cost, as `prices:` in the configuration says.
package struct PriceTable: Sendable, Equatable {
    /// The currency of all prices, for people.
    package let currency: String
    private let models: [String: ModelPrice]

    private static let rule = "a map such as { gpt-5-mini: { input: 0.25, output: 2 } }"

    init(_ member: SettingsReader) throws(SettingsError) {
        let keys = try member.members(knowing: ["currency", "models"])
        currency = try keys["currency"]?.nonEmptyText("a currency such as USD") ?? "USD"
        guard let reader = keys["models"] else { throw member.error("it has no models; expected \(Self.rule)") }
        var models: [String: ModelPrice] = [:]
        for entry in try reader.members(Self.rule) { models[entry.name] = try ModelPrice(entry.value) }
        self.models = models
    }

    /// The price of a model; nil if it is unknown.
    package subscript(model: String) -> ModelPrice? { models[model] }
}

/// What the tokens of a model cost, by the million.
package struct ModelPrice: Sendable, Equatable {
    /// The price of the input.
    package let input: Double
    /// The price of the output; nil if it is unknown.
    package let output: Double?
    /// The price of input that the provider has cached; nil if it is that of other input.
    package let cached: Double?
    /// The price of input that the provider begins to cache; nil if it is that of other input.
    package let cacheWrite: Double?
    /// The part of these prices that is paid in bulk; nil if it is unknown.
    package let bulk: Double?

    private static let million = 1_000_000.0

    init(_ member: SettingsReader) throws(SettingsError) {
        let keys = try member.members(knowing: ["input", "output", "cached", "cache_write", "bulk"])
        guard let input = keys["input"] else { throw member.error("it has no price of the input") }
        self.input = try Self.price(input)
        output = try keys["output"].map(Self.price)
        cached = try keys["cached"].map(Self.price)
        cacheWrite = try keys["cache_write"].map(Self.price)
        bulk = try keys["bulk"].map(Self.share)
    }

    private static func price(_ member: SettingsReader) throws(SettingsError) -> Double {
        let what = "the price of a million tokens"
        guard let price = Double(try member.text(what)), price.isFinite, price >= 0 else { throw member.expected(what) }
        return price
    }

    private static func share(_ member: SettingsReader) throws(SettingsError) -> Double {
        let what = "a percentage such as 50%"
        let text = try member.text(what)
        guard text.last == "%", let share = Double(text.dropLast()), (0...100).contains(share) else {
            throw member.expected(what)
        }
        return share / 100
    }

    /// Returns the price of tokens; nil if there is output whose price is unknown.
    func cost(input tokens: Int, cached: Int = 0, cacheWrite: Int = 0, output: Int) -> Double? {
        if output > 0, self.output == nil { return nil }
        let plain = max(0, tokens - cached - cacheWrite)
        let parts = [
            (plain, input), (cached, self.cached ?? input), (cacheWrite, self.cacheWrite ?? input),
            (output, self.output ?? 0),
        ]
        return parts.reduce(0) { sum, part in sum + Double(part.0) * part.1 / Self.million }
    }
}

/// An amount of money.
package enum Cost: Sendable, Equatable {
    case amount(Double, currency: String)
    /// It cannot be known, and why.
    case unknown(String)

    /// The cost as a JSON object.
    package var json: JSONValue {
        switch self {
        case .amount(let amount, let currency):
            ["amount": .number("\(amount)"), "currency": .string(currency)]
        case .unknown(let reason): ["amount": nil, "reason": .string(reason)]
        }
    }

    /// Returns an amount with as many digits as matter.
    private static func digits(_ amount: Double) -> String {
        if amount > 0, amount < 0.000_000_5 { return "less than 0.000001" }
        let places = amount >= 100 ? 2 : 6
        let scale = places == 2 ? 100.0 : 1_000_000.0
        let scaled = (amount * scale).rounded()
        guard scaled < 1e15 else { return "\(amount.rounded())" }
        let whole = Int(scaled)
        let fraction = String(whole % Int(scale))
        var text = String(repeating: "0", count: places - fraction.count) + fraction
        while text.count > 2, text.last == "0" { text.removeLast() }
        return "\(whole / Int(scale)).\(text)"
    }
}

extension Cost: CustomStringConvertible {
    package var description: String {
        switch self {
        case .amount(let amount, let currency): "\(Self.digits(amount)) \(currency)"
        case .unknown(let reason): "unknown: \(reason)"
        }
    }
}
