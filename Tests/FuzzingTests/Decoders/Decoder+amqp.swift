import CRabbitMQ
import SheafBroker
import SheafCore

@testable import AMQPClient
@testable import SheafRabbitMQ

extension Decoder {
    /// Checks the decoder that the first byte selects with the rest of the bytes.
    func checkAMQP(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        switch input.byte() {
        case UInt8(ascii: "u"): try checkURL(input.text)
        case UInt8(ascii: "p"): try checkProperties(Array(input.rest))
        case UInt8(ascii: "f"): checkContents(&input)
        default: try checkTable(Array(input.rest))
        }
    }

    private func checkURL(_ url: String) throws {
        do throws(AMQPError) {
            let configuration = try AMQPConfiguration(url: url)
            let password = configuration.password.reveal()
            guard password.utf8.count > 8, !url.hasPrefix("\(password)@") else { return }
            let rest = url.replacing(password, with: "")
            let isElsewhere =
                rest.contains(password)
                || "\(configuration.user)\(configuration.endpoint)\(configuration.virtualHost)".contains(password)
            try checkedViolation(isElsewhere || !configuration.description.contains(password), "the password is shown")
        } catch {
            if error.code == .invalidArgument { return }
            throw error
        }
    }

    private func checkedViolation(_ condition: Bool, _ text: String) throws(AMQPError) {
        if !condition { throw AMQPError(.protocolViolation, text) }
    }

    private func checkTable(_ bytes: [UInt8]) throws {
        guard let table = try? FieldTableCodec.decode(bytes) else { return }
        if let encoded = try? FieldTableCodec.encode(table) {
            let again = try FieldTableCodec.encode(try FieldTableCodec.decode(encoded))
            try require(again == encoded, "a table is not decoded as it was encoded")
        }
        try deliver(AMQPProperties(headers: table))
    }

    private func checkProperties(_ bytes: [UInt8]) throws {
        var bytes = bytes
        var pool = amqp_pool_t()
        init_amqp_pool(&pool, 4096)
        defer { empty_amqp_pool(&pool) }
        try bytes.withUnsafeMutableBytes { buffer in
            var decoded: UnsafeMutableRawPointer?
            let raw = amqp_bytes_t(len: buffer.count, bytes: buffer.baseAddress)
            guard amqp_decode_properties(UInt16(AMQP_BASIC_CLASS), &pool, raw, &decoded) == 0, let decoded else {
                return
            }
            var types = StringCache()
            let properties = decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee
            try deliver(AMQPProperties(properties, contentTypes: &types))
        }
    }

    /// Passes a delivery with these properties to the broker layer.
    private func deliver(_ properties: AMQPProperties) throws(Violation) {
        let delivery = AMQPDelivery(
            epoch: 1,
            channelNumber: 1,
            channelID: 1,
            deliveryTag: 1,
            consumerTag: "",
            isRedelivered: true,
            exchange: "",
            routingKey: "q",
            properties: properties,
            body: []
        )
        let headers = BrokerHeaders(ladderPrefix: "sheaf.delay.")
        let taken = headers.delivery(delivery, from: "sheaf.tasks.f.b.0")
        try require((0...1_000_000).contains(taken.earlierDeliveries), "the number of deliveries is impossible")
        _ = try? BatchTask(taken.message)
        _ = JournalEntry(headers.entry(delivery))
        _ = delivery.streamOffset
    }

    /// Passes methods, headers and bodies in any order to the assembler.
    private func checkContents(_ input: inout FuzzInput) {
        var assembler = FrameAssembler()
        while !input.rest.isEmpty {
            switch input.byte() % 3 {
            case 0:
                let envelope = Envelope(deliveryTag: 1, isRedelivered: false, exchange: "", routingKey: "q")
                try? assembler.begin(.deliver(envelope))
            case 1:
                let size = input.block().prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
                _ = try? assembler.header(bodySize: size, properties: AMQPProperties())
            default:
                _ = input.block().withUnsafeBytes { bytes in try? assembler.body(bytes) }
            }
        }
    }
}
