import CRabbitMQ

/// Makes texts of bytes and keeps the last one: what the broker sends often repeats.
struct StringCache {
    private var last = ""

    mutating func text(_ bytes: amqp_bytes_t) -> String {
        let buffer = bytes.buffer
        let isSame = self.last.withUTF8 { $0.count == buffer.count && $0.elementsEqual(buffer) }
        if !isSame { self.last = bytes.text }
        return self.last
    }
}
