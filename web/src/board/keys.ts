// The keyboard in the table, as ARIA's grid has it: one stop for Tab, arrows from cell to cell, Home and End in a row,
// with Ctrl to the table's ends, Page keys by ten rows. Row -1 is the header.
export interface Place {
  row: number;
  col: number;
}

const pageRows = 10;

export function moved(key: string, ctrl: boolean, at: Place, rows: number, cols: number): Place | null {
  const last = { row: rows - 1, col: cols - 1 };
  switch (key) {
    case "ArrowUp":
      return ctrl ? { ...at, row: -1 } : inside({ ...at, row: at.row - 1 }, last);
    case "ArrowDown":
      return ctrl ? { ...at, row: last.row } : inside({ ...at, row: at.row + 1 }, last);
    case "ArrowLeft":
      return ctrl ? { ...at, col: 0 } : inside({ ...at, col: at.col - 1 }, last);
    case "ArrowRight":
      return ctrl ? { ...at, col: last.col } : inside({ ...at, col: at.col + 1 }, last);
    case "PageUp":
      return inside({ ...at, row: at.row - pageRows }, last);
    case "PageDown":
      return inside({ ...at, row: at.row + pageRows }, last);
    case "Home":
      return ctrl ? { row: -1, col: 0 } : { ...at, col: 0 };
    case "End":
      return ctrl ? last : { ...at, col: last.col };
    default:
      return null;
  }
}

function inside(place: Place, last: Place): Place {
  return { row: Math.max(-1, Math.min(last.row, place.row)), col: Math.max(0, Math.min(last.col, place.col)) };
}
