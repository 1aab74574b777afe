import CRabbitMQ

extension ByteArena {
    /// Converts a table for the library; the result is valid until the arena is reset.
    func table(_ table: AMQPTable) -> amqp_table_t {
        guard !table.isEmpty else { return amqp_table_t(num_entries: 0, entries: nil) }
        let entries = array(of: amqp_table_entry_t.self, count: table.count)
        for (index, entry) in table.entries.enumerated() {
            let value = self.value(entry.value)
            (entries + index).initialize(to: amqp_table_entry_t(key: bytes(entry.key), value: value))
        }
        return amqp_table_t(num_entries: Int32(table.count), entries: entries)
    }

    private func array(_ values: [AMQPValue]) -> amqp_array_t {
        guard !values.isEmpty else { return amqp_array_t(num_entries: 0, entries: nil) }
        let entries = array(of: amqp_field_value_t.self, count: values.count)
        for (index, value) in values.enumerated() { (entries + index).initialize(to: self.value(value)) }
        return amqp_array_t(num_entries: Int32(values.count), entries: entries)
    }

    private func value(_ value: AMQPValue) -> amqp_field_value_t {
        var result = amqp_field_value_t()
        func kind(_ kind: amqp_field_value_kind_t) { result.kind = UInt8(truncatingIfNeeded: kind.rawValue) }
        switch value {
        case .bool(let value):
            kind(AMQP_FIELD_KIND_BOOLEAN)
            result.value.boolean = value ? 1 : 0
        case .int8(let value):
            kind(AMQP_FIELD_KIND_I8)
            result.value.i8 = value
        case .uint8(let value):
            kind(AMQP_FIELD_KIND_U8)
            result.value.u8 = value
        case .int16(let value):
            kind(AMQP_FIELD_KIND_I16)
            result.value.i16 = value
        case .uint16(let value):
            kind(AMQP_FIELD_KIND_U16)
            result.value.u16 = value
        case .int32(let value):
            kind(AMQP_FIELD_KIND_I32)
            result.value.i32 = value
        case .uint32(let value):
            kind(AMQP_FIELD_KIND_U32)
            result.value.u32 = value
        case .int64(let value):
            kind(AMQP_FIELD_KIND_I64)
            result.value.i64 = value
        case .uint64(let value):
            kind(AMQP_FIELD_KIND_U64)
            result.value.u64 = value
        case .float(let value):
            kind(AMQP_FIELD_KIND_F32)
            result.value.f32 = value
        case .double(let value):
            kind(AMQP_FIELD_KIND_F64)
            result.value.f64 = value
        case .decimal(let scale, let value):
            kind(AMQP_FIELD_KIND_DECIMAL)
            result.value.decimal = amqp_decimal_t(decimals: scale, value: value)
        case .string(let value):
            kind(AMQP_FIELD_KIND_UTF8)
            result.value.bytes = bytes(value)
        case .bytes(let value):
            kind(AMQP_FIELD_KIND_BYTES)
            result.value.bytes = value.withUnsafeBytes { bytes($0) }
        case .timestamp(let value):
            kind(AMQP_FIELD_KIND_TIMESTAMP)
            result.value.u64 = value
        case .array(let values):
            kind(AMQP_FIELD_KIND_ARRAY)
            result.value.array = array(values)
        case .table(let table):
            kind(AMQP_FIELD_KIND_TABLE)
            result.value.table = self.table(table)
        case .null:
            kind(AMQP_FIELD_KIND_VOID)
        }
        return result
    }
}

extension amqp_bytes_t {
    var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: bytes, count: len) }

    /// The bytes as a string, with replacement characters for invalid UTF-8.
    var text: String { String(decoding: buffer, as: UTF8.self) }
}

extension AMQPTable {
    /// Copies a table of the library; values that are nested too deeply become `null`.
    init(_ table: amqp_table_t, depth: Int = 0) {
        let entries = UnsafeBufferPointer(start: table.entries, count: Int(table.num_entries))
        self.init(entries.map { Entry(key: $0.key.text, value: AMQPValue($0.value, depth: depth)) })
    }
}

extension AMQPValue {
    fileprivate init(_ field: amqp_field_value_t, depth: Int) {
        switch amqp_field_value_kind_t(UInt32(field.kind)) {
        case AMQP_FIELD_KIND_BOOLEAN: self = .bool(field.value.boolean != 0)
        case AMQP_FIELD_KIND_I8: self = .int8(field.value.i8)
        case AMQP_FIELD_KIND_U8: self = .uint8(field.value.u8)
        case AMQP_FIELD_KIND_I16: self = .int16(field.value.i16)
        case AMQP_FIELD_KIND_U16: self = .uint16(field.value.u16)
        case AMQP_FIELD_KIND_I32: self = .int32(field.value.i32)
        case AMQP_FIELD_KIND_U32: self = .uint32(field.value.u32)
        case AMQP_FIELD_KIND_I64: self = .int64(field.value.i64)
        case AMQP_FIELD_KIND_U64: self = .uint64(field.value.u64)
        case AMQP_FIELD_KIND_F32: self = .float(field.value.f32)
        case AMQP_FIELD_KIND_F64: self = .double(field.value.f64)
        case AMQP_FIELD_KIND_DECIMAL:
            self = .decimal(scale: field.value.decimal.decimals, value: field.value.decimal.value)
        case AMQP_FIELD_KIND_UTF8:
            let buffer = field.value.bytes.buffer
            self = String(validating: buffer, as: UTF8.self).map(AMQPValue.string) ?? .bytes(Array(buffer))
        case AMQP_FIELD_KIND_BYTES: self = .bytes(Array(field.value.bytes.buffer))
        case AMQP_FIELD_KIND_TIMESTAMP: self = .timestamp(field.value.u64)
        case AMQP_FIELD_KIND_TABLE where depth + 1 < AMQPTable.maximumDepth:
            self = .table(AMQPTable(field.value.table, depth: depth + 1))
        case AMQP_FIELD_KIND_ARRAY where depth + 1 < AMQPTable.maximumDepth:
            let array = field.value.array
            let values = UnsafeBufferPointer(start: array.entries, count: Int(array.num_entries))
            self = .array(values.map { AMQPValue($0, depth: depth + 1) })
        default: self = .null
        }
    }
}

/// The library's own encoding of tables, against which tests and fuzzing check the conversion.
enum FieldTableCodec {
    /// Encodes a table in its wire format, without its length.
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

    /// Decodes a table from its wire format, without its length.
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
