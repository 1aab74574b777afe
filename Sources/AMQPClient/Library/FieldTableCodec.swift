import CRabbitMQ

/// The library's own encoding of tables, to try ours against.
enum FieldTableCodec {
    /// Encodes a table as it is on the wire, without its length.
    static func encode(_ table: AMQPTable) throws(AMQPError) -> [UInt8] {
        let size = try table.encodedSize() + 4
        let arena = ByteArena()
        var raw = arena.table(table)
        var offset = 0
        var status: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            status = amqp_encode_table(amqp_bytes_t(len: size, bytes: buffer.baseAddress), &raw, &offset)
            count = offset
        }
        guard status == 0 else { throw AMQPError(status: status, .invalidArgument, "cannot encode the table") }
        return Array(bytes.dropFirst(4))
    }

    /// Decodes a table as it is on the wire, without its length.
    static func decode(_ bytes: [UInt8]) throws(AMQPError) -> AMQPTable {
        var framed = withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { Array($0) } + bytes
        var pool = amqp_pool_t()
        init_amqp_pool(&pool, 4096)
        defer { empty_amqp_pool(&pool) }
        var table = amqp_table_t()
        var offset = 0
        let status = framed.withUnsafeMutableBytes {
            amqp_decode_table(amqp_bytes_t(len: $0.count, bytes: $0.baseAddress), &pool, &table, &offset)
        }
        guard status == 0 else { throw AMQPError(status: status, .protocolViolation, "cannot decode a table") }
        return AMQPTable(table)
    }
}
