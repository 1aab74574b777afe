import SheafCore
import SheafFormats
import SheafSettings

extension BatchPreview {
    /// Prints the preview: JSON on standard output, text on standard error.
    func show(on console: Console, json: Bool) throws {
        if json {
            try console.print(self.json.text)
            return
        }
        console.say("would publish \(Wording.count(total, "task")) of \(flow) from \(Wording.count(records, "record"))")
        if variants > 1 { console.say("each record makes \(variants) tasks, one for each choice of parameters") }
        if invalid > 0 {
            console.say("\(Wording.count(invalid, "record")) cannot be read and would count as failed:")
            for complaint in complaints { console.say("  \(complaint)") }
            if invalid > complaints.count { console.say("  … and \(invalid - complaints.count) more") }
        }
        if identical > 0 {
            console.say(
                "\(Wording.count(identical, "record")) \(identical == 1 ? "is" : "are") identical to an earlier one and "
                    + "would get its outcome"
            )
        }
        if let first {
            console.say("first record: \(first.id)")
            try console.print(Self.excerpt(of: first))
        }
        if let parameters { console.say("parameters: \(parameters)") }
        if let estimate { show(estimate, on: console) }
    }

    private func show(_ estimate: FlowPricing.Estimate, on console: Console) {
        let (input, output) = (estimate.input, estimate.output.map { "at most \($0)" } ?? "an unknown number")
        console.say("tokens, from the size of the requests: \(input.least) to \(input.most) in, \(output) out")
        if estimate.failing > 0 {
            console.say("\(Wording.count(estimate.failing, "task")) cannot be a request and would fail")
        }
        switch (estimate.least, estimate.most) {
        case (.amount, .amount): console.say("cost: \(estimate.least) to \(estimate.most)")
        case (.amount, .unknown(let reason)):
            console.say("cost: at least \(estimate.least); the most is unknown: \(reason)")
        case (.unknown, _): console.say("cost: \(estimate.least)")
        }
    }

    /// Returns the record as JSON on one line, cut if it is long.
    private static func excerpt(of record: Record) -> String {
        var bytes: [UInt8] = []
        record.writeJSON(to: &bytes)
        let limit = 2000
        return String(decoding: bytes.prefix(limit), as: UTF8.self) + (bytes.count > limit ? "…" : "")
    }
}
