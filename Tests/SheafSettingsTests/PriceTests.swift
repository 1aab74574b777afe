import SheafCore
import SheafFlows
import Testing

@testable import SheafSettings

@Suite("Prices") struct PriceTests {
    private static let prices = """
        prices:
          currency: EUR
          models:
            m: { input: 2, output: 8, cached: 0.5, cache_write: 3, bulk: 50% }
            plain: { input: 1 }

        """

    private func pricing(
        _ kind: String = "chat: { model: m, prompt: \"{{n}}\" }",
        bulk: Bool = false,
        prices: String = Self.prices
    ) throws -> FlowPricing? {
        let yaml = prices + "flows:\n  f:\n    \(kind)\n" + (bulk ? "    bulk: true\n" : "")
        return try SettingsFixtures.load(yaml).flow(named: "f").pricing
    }

    private static func task(_ text: String) -> FlowTask {
        let record = Record(id: "r", kind: .json, bytes: Array(#"{"n": "\#(text)"}"#.utf8))
        return FlowTask(batch: "b", index: 0, record: record, attempt: 1)
    }

    @Test("A usage costs what its parts cost, and in bulk a part of that") func usage() throws {
        let usage = Usage([
            "input_tokens": 1_000_000, "cached_tokens": 400_000, "cache_write_tokens": 100_000,
            "output_tokens": 250_000, "total_tokens": 1_250_000,
        ])
        // 500,000 at 2, 400,000 at 0.5, 100,000 at 3 and 250,000 at 8.
        #expect(try pricing()?.cost(of: usage) == .amount(3.5, currency: "EUR"))
        #expect(try pricing(bulk: true)?.cost(of: usage) == .amount(1.75, currency: "EUR"))
        let input = Usage(["input_tokens": 3_000_000, "cached_tokens": 1_000_000])
        let plain = try pricing("embedding: { model: plain, input: x }")
        #expect(plain?.cost(of: input) == .amount(3, currency: "EUR"), "cached input costs as much as other input")
    }

    @Test(
        "A cost that cannot be known is unknown, with the reason",
        arguments: [
            ("chat: { model: other, prompt: x }", false, "prices has no model 'other'"),
            ("chat: { model: \"{{m}}\", prompt: x }", false, "the tasks ask different models"),
            ("chat: { model: plain, prompt: x }", false, "prices.models.plain has no price of the output"),
            (
                "chat: { model: plain, prompt: x }", true,
                "prices.models.plain has no 'bulk', the percentage that is paid in bulk"
            ),
        ]
    ) func unknown(kind: String, bulk: Bool, reason: String) throws {
        let cost = try pricing(kind, bulk: bulk)?.cost(of: Usage(["input_tokens": 1, "output_tokens": 1]))
        #expect(cost == .unknown(reason))
        #expect(cost?.json["amount"] == .null && cost?.description == "unknown: \(reason)")
    }

    @Test("Without prices every cost is unknown, and a flow without a model has none") func none() throws {
        #expect(try pricing(prices: "")?.cost(of: Usage()) == .unknown("the configuration has no prices"))
        #expect(try pricing("echo: true") == nil)
    }

    @Test("An estimate has bounds, and its upper one needs a limit of the output") func estimate() throws {
        let limited = "chat: { model: m, prompt: \"{{n}}\", options: { max_tokens: 100, n: 2 } }"
        var estimate = try #require(try pricing(limited)?.estimate)
        for count in [10, 500, 3_000] { estimate.add(Self.task(String(repeating: "word ", count: count))) }
        #expect(estimate.input.least < estimate.input.most && estimate.input.least > 3_510 && estimate.failing == 0)
        #expect(estimate.output == 600)
        guard case .amount(let least, "EUR") = estimate.least, case .amount(let most, "EUR") = estimate.most else {
            Issue.record("\(estimate.least), \(estimate.most)")
            return
        }
        #expect(abs(least - Double(estimate.input.least) * 2e-6) < 1e-12)
        #expect(abs(most - Double(estimate.input.most) * 2e-6 - 600 * 8e-6) < 1e-12)
        var open = try #require(try pricing()?.estimate)
        open.add(Self.task("x"))
        #expect(open.output == nil)
        if case .amount = open.most { Issue.record("without a limit there is no upper bound") }
        open.add(FlowTask(batch: "b", index: 1, record: Record(id: "r", kind: .text, bytes: [0xff]), attempt: 1))
        #expect(open.failing == 1)
        var embedding = try #require(try pricing("embedding: { model: plain, input: \"{{n}}\" }")?.estimate)
        embedding.add(Self.task("x"))
        #expect(embedding.output == 0 && embedding.most.json["amount"]?.doubleValue ?? 0 > 0)
    }

    @Test(
        "Amounts have as many digits as matter",
        arguments: [
            (0.0, "0.00 X"), (1.5, "1.50 X"), (0.012345678, "0.012346 X"), (1234.567, "1234.57 X"),
            (0.0000001, "less than 0.000001 X"), (99.9999999, "100.00 X"),
        ]
    ) func digits(amount: Double, text: String) { #expect(Cost.amount(amount, currency: "X").description == text) }

    @Test(
        "An error in prices names the key and the cause",
        arguments: [
            ("prices: {}", "it has no models"),
            ("prices: { models: { m: { output: 1 } } }", "it has no price of the input"),
            ("prices: { models: { m: { input: free } } }", "expected the price of a million tokens, found 'free'"),
            ("prices: { models: { m: { input: -1 } } }", "expected the price of a million tokens"),
            ("prices: { models: { m: { input: 1, bulk: 0.5 } } }", "expected a percentage such as 50%"),
            ("prices: { models: { m: { inptu: 1 } } }", "did you mean 'input'?"),
        ]
    ) func errors(yaml: String, message: String) throws {
        #expect(try SettingsFixtures.error(yaml + "\n").contains(message))
    }
}
