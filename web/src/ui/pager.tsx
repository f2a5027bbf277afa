// Keyset pages: there is a next one or there is not; how many there are nobody knows beforehand.
interface Props {
  shown: number;
  total?: number;
  more: boolean;
  loading: boolean;
  onMore: () => void;
  noun: string;
}

export function Pager({ shown, total, more, loading, onMore, noun }: Props) {
  return (
    <div class="pager" data-testid="pager">
      <span class="soft" role="status">
        {shown} {total === undefined ? "" : `of ${total} `}
        {noun}
        {more ? "" : ", all shown"}
      </span>
      {more && (
        <button type="button" onClick={onMore} disabled={loading}>
          {loading ? "Loading…" : "Show more"}
        </button>
      )}
    </div>
  );
}
