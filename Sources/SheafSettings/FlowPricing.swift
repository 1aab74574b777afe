package import SheafCore
package import SheafFlows
import SheafProviders

/// What the calls of a flow that asks a model cost.
package struct FlowPricing: Sendable {
    private let flow: any ModelFlow
    private let isBulk: Bool
    /// Whether some tasks may run by themselves, at the full price.
    private let isMixed: Bool
    private let prices: PriceTable?

    /// Returns nil if the flow asks no model.
    init?(_ flow: any Flow, _ prices: PriceTable?) {
        if let flow = flow as? any ModelFlow {
            (self.flow, isBulk, isMixed) = (flow, false, false)
        } else if let flow = flow as? SubmissionFlow {
            (self.flow, isBulk, isMixed) = (flow.modelFlow, true, flow.liveAge != nil)
        } else {
            return nil
        }
        self.prices = prices
    }

    /// Whether the configuration has prices.
    package var hasPrices: Bool { prices != nil }

    /// Returns what a usage costs.
    package func cost(of usage: Usage) -> Cost {
        guard let model = flow.fixedModel else { return .unknown("the tasks ask different models") }
        if isMixed, prices?[model].map({ $0.bulk != 1 }) ?? false {
            return .unknown("with 'fallback: live', some tasks may have been paid at the full price")
        }
        return cost(of: model) { price in
            price.cost(
                input: usage["input_tokens"],
                cached: usage["cached_tokens"],
                cacheWrite: usage["cache_write_tokens"],
                output: usage["output_tokens"]
            )
        }
    }

    private func cost(of model: String, _ cost: (ModelPrice) -> Double?) -> Cost {
        guard let prices else { return .unknown("the configuration has no prices") }
        guard let price = prices[model] else { return .unknown("prices has no model '\(model)'") }
        guard let share = isBulk ? price.bulk : 1 else {
            return .unknown("prices.models.\(model) has no 'bulk', the percentage that is paid in bulk")
        }
        guard let amount = cost(price) else { return .unknown("prices.models.\(model) has no price of the output") }
        return .amount(amount * share, currency: prices.currency)
    }

    /// What requests would use and cost, within bounds.
    package struct Estimate: Sendable {
        private struct Tokens {
            var least = 0
            var most = 0
            var output: Int? = 0
        }

        private let pricing: FlowPricing
        private var models: [String: Tokens] = [:]
        /// How many tasks cannot be a request.
        package private(set) var failing = 0

        init(_ pricing: FlowPricing) { self.pricing = pricing }

        /// Adds the request of a task.
        package mutating func add(_ task: FlowTask) {
            guard let request = try? pricing.flow.request(for: task) else {
                failing += 1
                return
            }
            let bytes = request.body.bytes.count
            var tokens = models[request.model] ?? Tokens()
            tokens.least += TokenEstimate.least(bytes)
            tokens.most += TokenEstimate.most(bytes)
            let output = pricing.flow.hasOutputTokens ? Self.limit(of: request.body) : 0
            tokens.output = tokens.output.flatMap { sum in output.map { sum + $0 } }
            models[request.model] = tokens
        }

        /// Returns the most tokens of the answer to a request; nil if it sets no limit.
        private static func limit(of body: JSONValue) -> Int? {
            let limits = [
                body["max_completion_tokens"], body["max_tokens"], body["max_output_tokens"],
                body["generationConfig"]?["maxOutputTokens"], body["inferenceConfig"]?["maxTokens"],
            ]
            return limits.lazy.compactMap { $0?.intValue }.first.map { $0 * max(1, body["n"]?.intValue ?? 1) }
        }

        /// The input, at least and at most.
        package var input: (least: Int, most: Int) {
            models.values.reduce((0, 0)) { ($0.0 + $1.least, $0.1 + $1.most) }
        }

        /// The most output; nil if the requests set no limit.
        package var output: Int? {
            models.values.reduce(Int?.some(0)) { sum, tokens in sum.flatMap { sum in tokens.output.map { sum + $0 } } }
        }

        /// The cost of the least input without any output.
        package var least: Cost { sum { price, tokens in price.cost(input: tokens.least, output: 0) } }

        /// The cost of the most input and output.
        package var most: Cost {
            if output == nil { return .unknown("the requests set no limit for their output, such as max_tokens") }
            return sum { price, tokens in price.cost(input: tokens.most, output: tokens.output ?? 0) }
        }

        private func sum(_ cost: (ModelPrice, Tokens) -> Double?) -> Cost {
            var total = Cost.amount(0, currency: pricing.prices?.currency ?? "")
            for (model, tokens) in models.sorted(by: { $0.key < $1.key }) {
                let part = pricing.cost(of: model) { cost($0, tokens) }
                guard case .amount(let amount, let currency) = part, case .amount(let sum, _) = total else {
                    return part
                }
                total = .amount(sum + amount, currency: currency)
            }
            return total
        }
    }

    /// Begins an estimate.
    package var estimate: Estimate { Estimate(self) }
}
